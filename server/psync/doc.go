// Package psync follows a Redis server (or Valkey, or what else speaks its protocol) as
// one of its replicas does, so that an application can move to dkv while it runs.
//
// # Main types
//
//   - Follower has the options; Follow is what cluster.FollowOptions.Foreign wants.
//   - conversation is one connection to the source.
//   - stream is the commands that come, batch what the shards are to do next of them,
//     share what one shard does of a command (see divide).
//   - spool is a queue on disk between the connection and what applies: the source is
//     read from all the time, also while its data is loaded, since it would drop a
//     replica that does not read.
//
// # How it goes
//
//	replica                                        source
//	  AUTH, PING, REPLCONF listening-port,
//	  ip-address, capa eof psync2             -->
//	  PSYNC replid offset                     -->
//	                                          <--  +CONTINUE [replid], or +FULLRESYNC replid offset
//	                                          <--  an RDB file: $length, or $EOF:mark ... mark
//	                                          <--  commands
//	  REPLCONF ACK offset, each second        -->
//
// A file is received as a whole and scanned before anything is changed: what dkv cannot
// hold is named in the error. Then the data that was there is deleted and the file
// loaded, in batches of loadBytes. Then commands are evaluated, those that have come
// together as one batch, in a shard what stands between MULTI and EXEC never apart.
//
// Several shards do their shares of a batch at the same time. A command that reads in
// one and writes in another is done by itself, first where it writes.
//
// # Invariants
//
//   - The place (replication id, offset, selected database) is written with the data
//     that it belongs to (shard.SourceStep), for each shard. After a crash the link goes
//     on from the lowest, and a shard does nothing that ends before its own; or
//     everything is loaded anew, as the source's backlog allows.
//   - A shard that a command reads for another one is not past that command before the
//     other one is.
//   - From the deletion of the old data to the end of the load the place is
//     shard.PartialPosition, under which nothing is served: that of the first shard as
//     long as that of any.
//   - A command that dkv does not have, or that fails, ends the link, and is met again
//     when it is tried again: nothing is left out silently.
//   - Keys expire when the source says so (keyspace.Tx.KeepExpired).
//
// # Bounds
//
// Memory: one element of the file, or one command, and a batch; what is lent to another
// shard, up to maxLentBytes a key. Disk: the file, and up
// to maxSpoolBytes of commands that came while it was loaded; above that the source is
// read from no more.
//
// # Goroutines
//
// Follow applies on its caller's, and one a shard while several apply. Beside it one reads the connection and one sends
// acknowledgements; both end with Follow.
package psync
