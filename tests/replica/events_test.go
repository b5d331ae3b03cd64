package replica

import (
	"testing"
	"time"

	"dkv/tests/harness"
)

// TestEventsOnReplicas: a replica, and one of its own, tell their subscribers what the
// master's clients do to keys, and what expires there.
func TestEventsOnReplicas(t *testing.T) {
	source := harness.Dkv(t, "-notify-keyspace-events", "EA")
	first := replicaOf(t, source, "-notify-keyspace-events", "EA")
	second := replicaOf(t, first, "-notify-keyspace-events", "Ex")
	awaitUp(t, first)
	awaitUp(t, second)
	servers := []*harness.Server{source, first, second}
	var subs []*harness.TestConn
	for _, s := range servers {
		c := s.Dial(t)
		c.Do("PSUBSCRIBE", "__key*")
		subs = append(subs, c)
	}
	s := source.Dial(t)
	s.OK("MULTI")
	s.Do("HSET", "h", "f", "v")
	s.Do("SET", "short", "v", "PX", "20")
	s.Do("EXEC")
	all := []string{"hset h", "set short", "expire short", "expired short"}
	for at, want := range [][]string{all, all, all[3:]} {
		for _, event := range want {
			subs[at].SetDeadline(time.Now().Add(patience))
			r, err := subs[at].Read()
			if err != nil || len(r.Elems) != 4 {
				t.Fatalf("server %d: %s, %v, want %s", at, r, err, event)
			}
			if got := string(r.Elems[2].Str) + " " + string(r.Elems[3].Str); got != "__keyevent@0__:"+event {
				t.Errorf("server %d tells %s, want %s", at, got, event)
			}
		}
	}
	awaitSame(t, source, first, second)
}
