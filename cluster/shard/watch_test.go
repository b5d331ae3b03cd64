package shard

import (
	"testing"

	"dkv/engine/keyspace"

	pb "go.etcd.io/raft/v3/raftpb"
)

// A change of the membership that comes between moves a batch's index: what it changed
// is not taken for seen by who watches since then.
func TestWatchMovedBatch(t *testing.T) {
	s, _ := openShard(t)
	var since uint64
	err := run(s, func(tx *keyspace.Tx) {
		put(t, "k", nil)(tx)
		err := s.Group().ChangeMembership(t.Context(), &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{
			Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(2)),
		}}})
		if since = uint64(s.Applied()); err != nil || since < s.w.position {
			t.Errorf("%v: applied is %d, the batch is for %d", err, since, s.w.position)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var changed bool
	if err := run(s, func(tx *keyspace.Tx) { changed = tx.Changed(0, []byte("k"), since) }); err != nil || !changed {
		t.Errorf("%v; a change behind the watch was missed: %t", err, !changed)
	}
}
