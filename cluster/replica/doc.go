// Package replica carries the log of a source to its asynchronous replicas.
//
// A replica is an ordinary node whose only writer is its source: it applies the
// batches of the source's log through its own log. Each shard has a connection of
// its own, to the port that clients use:
//
//	Source    on the node that is followed: serves any number of replicas
//	Session   one connection to one shard of a replica
//	Link      on the replica: follows one shard, from one source after the other
//
// A replica's place is (history, shard, index, term). The history is the cluster id
// of the source, which all members of a cluster share; index and term then say by
// the log matching property of raft whether the source's log is the one that the
// replica has followed. When it is and still has the next entry, the entries are
// streamed from there on. Otherwise a snapshot of the engine is copied first, while
// the source keeps the log after it.
//
//	replica                                        source
//	  PING, AUTH, REPLCONF ...                -->
//	  DKV.SYNC version shards shard
//	           history index term [id place]  -->
//	                                          <--  +CONTINUE history shards
//	                                               or +COPY history shards id index term bytes
//	                                          <--  frames, each a bulk string, see Frame
//	  REPLCONF ACK index [FACK index]         -->   applied, and on disk
//
// A source says by whose histories its data comes to it, its path, and refuses a replica
// that is on it: each would copy the other in full, for ever.
//
// # Bounds
//
// A session holds one frame at a time: a replica that does not read blocks its
// session's goroutine and nothing else. It keeps no log from being cut, but for a
// copy, whose log is bounded by SourceOptions.MaxHeldBytes. What is published and waits for a
// replica is bounded by maxMessageBytes; more is lost for it. A session whose replica
// takes or acknowledges nothing for SourceOptions.Timeout ends. A link holds
// queueBytes of frames and stops reading above that.
//
// # Goroutines
//
// Session.Run runs on its caller's; acks come from another one. A Link has one that
// applies and, while it is connected, one that reads.
package replica
