package server

var (
	mPubsubClients  = gauge("pubsub_clients", "Clients that have subscriptions.")
	mPubsubSubs     = gauge("pubsub_subscriptions", "Subscriptions of clients, to channels, patterns and shard channels.")
	mPubsubChannels = gauge("pubsub_topics", "What has subscribers: channels, patterns, shard channels.", "kind")
	mPubsubLost     = counter("pubsub_messages_lost", "Messages that could not be passed on to another node, or keyspace events of a batch that could not be told, for lack of room.")
)

// collectPubSub renders what is subscribed to on this node.
func (c collector) collectPubSub(s sink) {
	p := &c.srv.pubsub
	s.put(mPubsubClients, float64(p.clients.Load()))
	s.put(mPubsubSubs, float64(p.subs.Load()))
	for k, kind := range [...]string{toChannel: "channel", toPattern: "pattern", toShardChannel: "shard-channel"} {
		s.put(mPubsubChannels, float64(p.count(subKind(k))), kind)
	}
	s.put(mPubsubLost, float64(c.srv.node.LostMessages()+c.srv.notes.lost()))
}
