package shard

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"dkv/engine/keyspace"
)

// While the gate is shut clients' writes wait and evictions do not; an evicted key
// counts as changed for who watches it.
func TestEvictBeforeClients(t *testing.T) {
	shut := make(chan struct{})
	gate := (<-chan struct{})(nil)
	s, _ := openShard(t, func(o *Options) { o.Gate = func() <-chan struct{} { return gate } })
	for i := range 10 {
		if err := run(s, put(t, fmt.Sprintf("k%d", i), []byte("value"))); err != nil {
			t.Fatal(err)
		}
	}
	since := uint64(s.Applied())
	gate = shut // the writer waits for tasks: the next one makes this known to it
	var tasks [3]Task
	for i := range tasks {
		tasks[i].Eval = put(t, fmt.Sprintf("new%d", i), nil)
		s.Submit(&tasks[i])
	}
	victims := []keyspace.Victim{{Key: []byte("k1")}, {Key: []byte("none")}, {Key: []byte("k2")}}
	if n, err := s.Evict(victims, true); n != 0 || err != nil {
		t.Errorf("%d of no volatile keys were evicted, %v", n, err)
	}
	if n, err := s.Evict(victims, false); n != 2 || err != nil {
		t.Errorf("%d keys were evicted, %v", n, err)
	}
	if keys := s.Keyspace().Counts()[0].Keys; keys != 8 {
		t.Errorf("%d keys while the gate is shut, want 8", keys)
	}
	close(shut)
	for i := range tasks {
		if err := tasks[i].Wait(); err != nil {
			t.Error(err)
		}
	}
	err := run(s, func(tx *keyspace.Tx) {
		if !tx.Changed(0, []byte("k1"), since) || tx.Changed(0, []byte("k3"), since) {
			t.Error("k1 has not changed, or k3 has")
		}
	})
	if err != nil || s.Evicted() != 2 || s.Keyspace().Counts()[0].Keys != 11 {
		t.Errorf("%d evicted, counts %+v, %v", s.Evicted(), s.Keyspace().Counts()[0], err)
	}
}

// A gate that stays shut holds a batch back for a while only; a replica evicts nothing.
func TestGateDoesNotHang(t *testing.T) {
	never := make(chan struct{})
	s, _ := openShard(t, func(o *Options) { o.Gate = func() <-chan struct{} { return never } })
	began := time.Now()
	if err := run(s, put(t, "k", nil)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < maxGateWait {
		t.Errorf("the write took %v", took)
	}
	s.Follow(true)
	if _, err := s.Evict([]keyspace.Victim{{Key: []byte("k")}}, false); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a replica evicts: %v", err)
	}
}
