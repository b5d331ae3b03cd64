// Package server serves the Redis protocol: listeners, connections, sessions,
// the dispatch of commands to the keyspace, and the commands about connection
// and server (the others are package command's).
//
// # Main types
//
//   - Server listens, counts (Stats) and closes. Config holds its parameters.
//   - Conn is a client's connection and, in session, what the client set up.
//   - workspace is what a Conn needs while it runs commands; idle ones have none.
//
// # Use
//
//	cfg := server.NewConfig()
//	s, err := server.New(server.Options{Node: node, Config: cfg, Logger: log})
//	err = s.Listen()             // ports are bound, s.Addr() is known
//	go s.Serve(ctx)
//	...
//	<-s.Shutdown()               // a client sent SHUTDOWN
//	s.Close(ctx)                 // finish running commands, then close
//
// # The way of a pipeline
//
// One goroutine a connection, in Conn.serve. It reads once (fill), then process
// parses every command that has arrived whole and gives each to dispatch:
//
//   - Writes are collected. Consecutive ones, and fast reads between them, are one
//     shardRequest a shard: one enqueue, one wake-up, one commit a pipeline. Where
//     this node leads the shard, shardRequest.eval runs them on its writer while
//     the connection waits; otherwise the leader's node gets them as forward_codec.go
//     draws it, and Server.execute has them evaluated there by the same code.
//   - Reads run on the connection's goroutine, over what this node has, behind the
//     shard's read barrier; consecutive ones share it.
//   - Commands of this package run there too, after the writes before them.
//   - In MULTI everything is queued; EXEC is one shardRequest, or one snapshot.
//
// route says which shard a command is for. With several shards, those of a pipeline
// that are for different ones run side by side, and what is for one shard keeps its
// order; route_split.go has the commands that go to several. The session (database,
// MULTI, WATCH, ...) never leaves the node that the client is connected to, and
// commands are counted there.
//
// Replies are appended to the workspace's Writer in the order of the requests
// and sent once a pipeline (flush). What the socket does not take waits in the
// connection's outbox, up to limits.
//
// # Locks
//
// There is none on the way of a GET or SET that connections share. Server.mu,
// clients.mu, monitors.mu, pause.mu, Conn.shared.mu, outbox.mu and those of
// Stats, slowlog, latencyMonitor are leaves: none is held while another is taken,
// or over I/O, but that Config's change lock is held around its hooks.
// pubsub.mu is held while messages go into outboxes, so it comes before outbox.mu.
//
// # Invariants
//
//   - A reply leaves only after the writes before it, and its own, are committed.
//   - A request is given to Node.Run once: what is sent again, because it certainly
//     did not happen, is decided there. An error reply that does not begin with
//     UNCERTAIN means that nothing of the command happened.
//   - All keys of a request are in its shard, by the map of slots that it was made
//     with, which is still the node's when it is submitted.
//   - Arguments of a command point into the connection's read buffer; nothing
//     keeps them beyond process, but for queued commands, which are copied.
//   - A bug in a handler fails its command, not the node: every handler runs under
//     guard, and what it wrote and replied is undone.
//   - What waits for a slow client is bounded: it is no longer read.
package server
