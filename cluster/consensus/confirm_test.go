package consensus

import (
	"testing"

	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// TestConfirms: a member's read index request confirms a leader only where the two are
// a majority of the voters, of both halves of a joint membership, in one term.
func TestConfirms(t *testing.T) {
	const term = 7
	three := &pb.ConfState{Voters: []uint64{1, 2, 3}}
	for _, c := range []struct {
		name  string
		conf  *pb.ConfState
		from  uint64
		in    uint64
		ready bool
		lease bool
		want  bool
	}{
		{"two of three", three, 2, term, true, false, true},
		{"two of two", &pb.ConfState{Voters: []uint64{1, 2}}, 2, term, true, false, true},
		{"a later term", three, 2, term + 1, true, false, false},
		{"an earlier term", three, 2, term - 1, true, false, false},
		{"no term", three, 2, 0, true, false, false},
		{"no entry of the term is applied", three, 2, term, false, false, false},
		{"leases", three, 2, term, true, true, false},
		{"two of five", &pb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}}, 2, term, true, false, false},
		{"two of four", &pb.ConfState{Voters: []uint64{1, 2, 3, 4}}, 2, term, true, false, false},
		{"a learner", &pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}}, 4, term, true, false, false},
		{"a stranger", three, 9, term, true, false, false},
		{"a leader that is no voter", &pb.ConfState{Voters: []uint64{2, 3, 4}}, 2, term, true, false, false},
		{"both halves", &pb.ConfState{Voters: []uint64{1, 2, 3}, VotersOutgoing: []uint64{1, 2}}, 2, term, true, false, true},
		{"the new half alone", &pb.ConfState{Voters: []uint64{1, 2, 3}, VotersOutgoing: []uint64{1, 3, 4}}, 2, term, true, false, false},
		{"the old half alone", &pb.ConfState{Voters: []uint64{1, 3, 4}, VotersOutgoing: []uint64{1, 2, 3}}, 2, term, true, false, false},
	} {
		co := &core{o: Options{ID: 1, Lease: c.lease}, term: raftlog.Term(term), ready: c.ready, conf: c.conf}
		m := &pb.Message{Type: pb.MsgReadIndex.Enum(), From: new(c.from), LogTerm: new(c.in)}
		if got := co.confirms(m); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
