package server

import "strconv"

var (
	mReplicas        = gauge("replicas", "Asynchronous replicas that are connected.")
	mReplicaLag      = gauge("replica_lag_entries", "Entries that a replica has not applied yet.", "replica")
	mReplicaFull     = counter("replica_full_copies", "Full copies that replicas have begun.")
	mReplicaPartial  = counter("replica_resumed", "Times that a replica went on from where it was.")
	mReplicaDropped  = counter("replica_dropped", "Times that a replica was dropped because it was too slow.")
	mReplicaSent     = counter("replica_sent_bytes", "Bytes sent to replicas.")
	mSourceUp        = gauge("source_up", "1 while this replica follows its source.", "shard")
	mSourceLag       = gauge("source_lag_entries", "Entries of the source that are not applied here, as of when it last said so.", "shard")
	mSourceHeard     = gauge("source_silence_seconds", "Time since the source was heard of.", "shard")
	mSourceCopied    = gauge("source_copied_bytes", "Bytes received of the last full copy.", "shard")
	mSourceFull      = counter("source_full_copies", "Full copies of the source that were begun.", "shard")
	mSourceFollowing = gauge("replica", "1 while this node is a replica.")
)

// collectReplication renders both sides of asynchronous replication.
func (c collector) collectReplication(s sink) {
	source := c.srv.node.Source()
	list, m := source.Replicas(), source.Metrics()
	s.put(mReplicas, float64(len(list)))
	s.put(mReplicaFull, float64(m.Full))
	s.put(mReplicaPartial, float64(m.Partial))
	s.put(mReplicaDropped, float64(m.Dropped))
	s.put(mReplicaSent, float64(m.SentBytes))
	seen := make(map[string]bool)
	for i := range list {
		if seen[list[i].Addr] {
			continue // two runs of one replica, the older of which is about to end
		}
		seen[list[i].Addr] = true
		s.put(mReplicaLag, float64(c.srv.entriesBehind(list[i].Acked)), list[i].Addr)
	}
	f, ok := c.srv.node.Following()
	s.put(mSourceFollowing, float64(oneIf(ok)))
	now := c.srv.clock()
	for i := range f.Links {
		l, shard := &f.Links[i], strconv.Itoa(i)
		s.put(mSourceUp, float64(oneIf(l.Up)), shard)
		s.put(mSourceLag, float64(max(l.Head, l.At)-l.At), shard)
		if !l.Heard.IsZero() {
			s.put(mSourceHeard, now.Sub(l.Heard).Seconds(), shard)
		}
		s.put(mSourceCopied, float64(l.CopiedBytes), shard)
		s.put(mSourceFull, float64(l.Full), shard)
	}
}
