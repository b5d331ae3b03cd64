package shard

import (
	"errors"
	"testing"

	"dkv/engine/keyspace"
)

// A task that takes long ends those that wait behind it, and only those.
func TestRefuse(t *testing.T) {
	s, _ := openShard(t)
	began, others := make(chan struct{}), make(chan struct{})
	slow := Task{Eval: func(*keyspace.Tx) {
		close(began)
		<-others
		s.Refuse(Busy("BUSY"))
	}}
	waiting := [3]Task{}
	s.Submit(&slow)
	<-began
	ran := 0
	for i := range waiting {
		waiting[i].Eval = func(*keyspace.Tx) { ran++ }
		s.Submit(&waiting[i])
	}
	close(others)
	if err := slow.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range waiting {
		if err := waiting[i].Wait(); !errors.Is(err, Busy("BUSY")) {
			t.Errorf("task %d: %v", i, err)
		}
	}
	after := Task{Eval: func(*keyspace.Tx) { ran += 10 }}
	s.Submit(&after)
	if err := after.Wait(); err != nil || ran != 10 {
		t.Errorf("%v, %d", err, ran)
	}
}
