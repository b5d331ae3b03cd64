// Package transport carries raft messages, calls and raft snapshots between the
// nodes of a cluster, on gRPC streams.
//
//	t, err := transport.Listen(transport.Options{Addr: addr, Handler: h})
//	t.SetIdentity(transport.Identity{ClusterID: c, Node: 1, Incarnation: i})
//	t.SetPeers(map[consensus.NodeID]transport.Peer{2: {Addr: "host:7000", Incarnation: j}})
//	t.Send(shard, rd.Messages)                          // never blocks, may drop
//	answer, err := t.Call(ctx, 2, kind, shard, payload) // at most once
//	err = t.SendSnapshot(ctx, 2, header, source)        // resumes
//
// # Connections
//
// A node dials each other member. On that connection are two streams, for all
// shards: Peer, with raft messages in one direction, and Calls, with requests
// one way and their answers back. A raft snapshot has a connection of its own,
// and so has an Admin request, which anyone may send.
//
//	node 1                                node 2
//	  dials --- Peer:  messages ------->
//	        --- Calls: requests ------->
//	        <--        answers ---------
//	        <-- messages, requests ------  dials
//	        --- answers ---------------->
//	  dials --- Snapshot: chunks ------>   while there is one
//	        <--           acks ----------
//
// Every gRPC message is a frame, a row of records; see recordKind for how it
// looks. What waits when the stream is free goes into one frame, at once: there
// are no timers. What does not fit into a frame is sent in parts, with other
// records between them. A stream begins with a hello and its answer:
//
//	dialer                          listener
//	hello{version, cluster, from, incarnation, to, its incarnation}
//	                                welcome{refusal or 0}
//	Peer:      message ...
//	Calls:     request ...          reply or failure ...
//	Snapshot:  header               position{from the start, after a key, or complete}
//	           chunk 1, 2, ...      ack 1, 2, ... or failure
//
// The header follows the hello without waiting. A refusal (another cluster, a
// removed node, another version, a node that lost its folder and still has its
// id ...) is counted, and logged once per node and reason.
//
// # What is promised
//
//   - Messages of a connection arrive in the order they were sent, except that
//     other kinds overtake MsgApp. Some may be lost: when the queue of the peer
//     is full, when there is no connection, when it breaks.
//   - MsgApp cannot take the room of the other kinds, nor delay them by more
//     than the frame under way.
//   - A peer that is slow or dead fills its own queue; nobody else waits.
//   - A call runs at most once. ErrNotSent: it has not run and never will.
//     ErrBroken: nobody knows. It is never sent on a second connection.
//   - A raft snapshot that was sent without an error was handed on by the
//     receiver. Its chunks arrive intact and in order, each once per position.
//
// Invariant: a request leaves the state queued or partial once, and whoever
// moves it decides between sent and abandoned; see call.
//
// # When a peer is lost
//
// The end of a connection is seen at once when the peer's process dies, and
// within seconds when its host does, by pings and by the kernel's limit on
// unacknowledged data. A connection that had lasted is made anew at once,
// otherwise after 50 ms to 1 s; a refused one then says that the process is
// gone. A peer that connects to us is dialed without waiting further.
//
// gRPC could reconnect by itself, and was not left to: it does not tell a
// refused connection from a slow one, and its waits are not ours. So each
// connection is dialed here and given to a gRPC client that lives as long.
//
// # Goroutines and locks
//
// Each peer has one that connects, and with a connection four: two that send,
// one that takes answers, one that waits for the end. Each inbound stream has
// two, and Calls one for each request that runs. Close waits for all of them.
//
// Transport.mu, outbox.mu, calls.mu and limiter.mu are held for memory only.
// None is taken within another.
//
// # Limits
//
// A message, request, answer or chunk has at most MaxBytes and is in memory as a
// whole at both ends; a request that is larger is refused before it is sent. QueueBytes bounds raft messages per peer, callQueueBytes
// what waits of calls, maxCalls how many are unanswered, snapshotWindow the
// chunks in flight. Who shows a certificate of the cluster's authority, or can
// connect at all where there is no TLS, is believed to be who it says.
package transport
