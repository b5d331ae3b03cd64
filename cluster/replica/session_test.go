package replica

import (
	"testing"
	"time"

	"dkv/cluster/raftlog"
)

// A replica is one that counts as soon as it says that it has switched to its copy.
func TestReplicaIsOnlineOnceItHasTheCopy(t *testing.T) {
	s := NewSource(SourceOptions{Shards: func() int { return 1 }, Clock: time.Now})
	ss := &Session{src: s, req: Request{Replica: "r"}}
	s.mu.sessions[ss] = struct{}{}
	ss.copies.Store(true)
	state := func() string { return s.Replicas()[0].State }
	ss.Ack(5, false) // of what it had before
	if got := state(); got != "send_bulk" {
		t.Errorf("before the copy was sent: %s", got)
	}
	ss.copyEnd.Store(7)
	for _, step := range []struct {
		index raftlog.Index
		want  string
	}{{6, "send_bulk"}, {7, "online"}, {8, "online"}} {
		ss.Ack(step.index, false)
		if got := state(); got != step.want {
			t.Errorf("at %d: %s, want %s", step.index, got, step.want)
		}
	}
}
