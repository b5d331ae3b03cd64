package server

import (
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	for _, k := range [...]struct {
		kind subKind
		name string
	}{{toChannel, "subscribe"}, {toPattern, "psubscribe"}, {toShardChannel, "ssubscribe"}} {
		bind(k.name, func(c *Conn, x *command.Ctx) error { return c.subscribe(x, k.kind) })
	}
	bind("unsubscribe", func(c *Conn, x *command.Ctx) error { return c.unsubscribe(x, toChannel) })
	bind("punsubscribe", func(c *Conn, x *command.Ctx) error { return c.unsubscribe(x, toPattern) })
	bind("sunsubscribe", func(c *Conn, x *command.Ctx) error { return c.unsubscribe(x, toShardChannel) })
	bind("publish", func(c *Conn, x *command.Ctx) error { return c.publishCommand(x, toChannel) })
	bind("spublish", func(c *Conn, x *command.Ctx) error { return c.publishCommand(x, toShardChannel) })
	bind("pubsub|channels", func(c *Conn, x *command.Ctx) error { return c.activeChannels(x, toChannel) })
	bind("pubsub|shardchannels", func(c *Conn, x *command.Ctx) error { return c.activeChannels(x, toShardChannel) })
	bind("pubsub|numsub", func(c *Conn, x *command.Ctx) error { return c.countSubscribers(x, toChannel) })
	bind("pubsub|shardnumsub", func(c *Conn, x *command.Ctx) error { return c.countSubscribers(x, toShardChannel) })
	bind("pubsub|numpat", func(c *Conn, x *command.Ctx) error {
		x.Out.Int(int64(c.srv.pubsub.count(toPattern)))
		return nil
	})
	bind("pubsub|help", help("PUBSUB",
		"CHANNELS [<pattern>]", "    The channels that have subscribers, and match the pattern (default: '*').",
		"NUMPAT", "    How many patterns are subscribed to.",
		"NUMSUB [<channel> ...]", "    How many subscribers the channels have, those by patterns left out.",
		"SHARDCHANNELS [<pattern>]", "    The shard channels that have subscribers, and match the pattern (default: '*').",
		"SHARDNUMSUB [<shardchannel> ...]", "    How many subscribers the shard channels have.",
	))
}

// specsWhileSubscribed are the commands that a subscriber can use in RESP2.
var specsWhileSubscribed = func() map[*command.Spec]bool {
	list := make(map[*command.Spec]bool)
	for _, name := range []string{"subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe", "ping", "quit", "reset"} {
		list[command.Lookup([]byte(name))] = true
	}
	return list
}()

func whileSubscribed(spec *command.Spec) bool { return specsWhileSubscribed[spec] }

// subscribe is SUBSCRIBE channel ..., PSUBSCRIBE pattern ..., SSUBSCRIBE channel ...
// There is a reply for each.
func (c *Conn) subscribe(x *command.Ctx, k subKind) error {
	if k == toShardChannel && c.txn.running {
		return resp.Error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
	}
	var added int64
	for _, name := range x.Args[1:] {
		added += int64(len(name)) + subscriptionBytes
	}
	if c.subs.bytes+added > c.srv.config.ClientQueryBufferLimit.Load() {
		return resp.Error("ERR The subscriptions of this connection exceed client-query-buffer-limit")
	}
	c.cork()
	out, end := c.confirmations(x)
	defer end()
	for _, arg := range x.Args[1:] {
		if c.subs.by[k][string(arg)] == nil {
			c.addSubscription(k, string(arg))
		}
		c.confirm(out, x.Spec.Name, arg, k)
	}
	return nil
}

func (c *Conn) addSubscription(k subKind, name string) {
	if c.subs.total() == 0 {
		c.setFlag(flagPubSub, true)
		c.srv.pubsub.clients.Add(1)
	}
	if c.subs.by[k] == nil {
		c.subs.by[k] = make(map[string]*subscription)
	}
	c.subs.by[k][name] = c.srv.pubsub.add(c, k, name)
	c.subs.bytes += int64(len(name)) + subscriptionBytes
	c.shared.subs[k].Add(1)
}

// unsubscribe is UNSUBSCRIBE [channel ...] and its like. Without arguments all go.
func (c *Conn) unsubscribe(x *command.Ctx, k subKind) error {
	out, end := c.confirmations(x)
	defer end()
	if len(x.Args) == 1 && len(c.subs.by[k]) == 0 {
		c.confirm(out, x.Spec.Name, nil, k)
		return nil
	}
	if len(x.Args) == 1 {
		for name, s := range c.subs.by[k] {
			c.removeSubscription(s, k)
			c.confirm(out, x.Spec.Name, []byte(name), k)
		}
		return nil
	}
	for _, arg := range x.Args[1:] {
		if s := c.subs.by[k][string(arg)]; s != nil {
			c.removeSubscription(s, k)
		}
		c.confirm(out, x.Spec.Name, arg, k)
	}
	return nil
}

func (c *Conn) removeSubscription(s *subscription, k subKind) {
	c.srv.pubsub.remove(s, k)
	delete(c.subs.by[k], s.topic.name)
	c.subs.bytes -= int64(len(s.topic.name)) + subscriptionBytes
	c.shared.subs[k].Add(-1)
	if c.subs.total() == 0 {
		c.setFlag(flagPubSub, false)
		c.srv.pubsub.clients.Add(-1)
	}
}

// unsubscribeAll ends all subscriptions without a word.
func (c *Conn) unsubscribeAll() {
	for k := range subKinds {
		for _, s := range c.subs.by[k] {
			c.removeSubscription(s, k)
		}
	}
}

// confirmations returns where the replies to SUBSCRIBE and its like go, and what to
// call after the last one. Redis counts them as messages: CLIENT REPLY does not leave
// them out.
func (c *Conn) confirmations(x *command.Ctx) (out *resp.Writer, end func()) {
	if !c.muting() || c.txn.running {
		return x.Out, func() {}
	}
	c.cork()
	w := &resp.Writer{Proto: c.proto}
	return w, func() {
		if c.push(w.Buf) {
			c.outputLimit()
		}
	}
}

// confirm replies to one argument of SUBSCRIBE or its like; nil: there was nothing to
// unsubscribe from.
func (c *Conn) confirm(w *resp.Writer, word string, name []byte, k subKind) {
	w.Push(3)
	w.BulkString(word)
	if name == nil {
		w.Null()
	} else {
		w.Bulk(name)
	}
	w.Int(int64(c.subs.counted(k)))
}

// manySubscriptions is from how many subscriptions on a message is not delivered on
// the goroutine of an event loop.
const manySubscriptions = 256

// publishCommand is PUBLISH channel message and SPUBLISH channel message. The reply is
// the number of receivers on this node, as in Redis Cluster.
func (c *Conn) publishCommand(x *command.Ctx, k subKind) error {
	if c.srv.pubsub.subs.Load() > manySubscriptions {
		c.leave()
	}
	if c.subs.total() > 0 {
		c.cork()
	}
	n := c.srv.pubsub.publish(k, x.Args[1], x.Args[2])
	c.srv.spread(k, x.Args[1], x.Args[2])
	x.Out.Int(int64(n))
	return nil
}

// activeChannels is PUBSUB CHANNELS [pattern] and PUBSUB SHARDCHANNELS [pattern].
func (c *Conn) activeChannels(x *command.Ctx, k subKind) error {
	if len(x.Args) > 3 {
		return resp.ErrSubcommandSyntax(x.Args[1], "pubsub")
	}
	names := c.srv.pubsub.names(k)
	if len(x.Args) == 3 {
		n := 0
		for _, name := range names {
			if keyspace.Match(x.Args[2], []byte(name), false) {
				names[n] = name
				n++
			}
		}
		names = names[:n]
	}
	x.Out.Array(len(names))
	for _, name := range names {
		x.Out.BulkString(name)
	}
	return nil
}

// countSubscribers is PUBSUB NUMSUB [channel ...] and PUBSUB SHARDNUMSUB [channel ...].
func (c *Conn) countSubscribers(x *command.Ctx, k subKind) error {
	x.Out.Array(2 * (len(x.Args) - 2))
	for _, name := range x.Args[2:] {
		x.Out.Bulk(name)
		x.Out.Int(int64(c.srv.pubsub.subscribers(k, name)))
	}
	return nil
}
