package shard

import (
	"time"

	"dkv/engine/keyspace"
)

// maxGateWait bounds how long one batch waits at Options.Gate.
const maxGateWait = time.Second

// Evict deletes keys to make room, as one task that goes before those of clients, and
// returns how many really went. Nothing happens to a key that is not there any more, or
// is to have an expiry and has none. Errors: those of Task.Wait; ErrNotLeader on a
// replica.
func (s *Shard) Evict(victims []keyspace.Victim, volatile bool) (n int, err error) {
	if s.following.Load() {
		return 0, ErrNotLeader
	}
	var evictErr error
	t := Task{done: make(chan error, 1), alone: true, Eval: func(tx *keyspace.Tx) {
		n = 0
		mark := tx.Mark()
		for i := range victims {
			evicted, err := tx.Evict(victims[i].DB, victims[i].Key, volatile)
			if err != nil {
				tx.Rollback(mark)
				n, evictErr = 0, err
				return
			}
			if evicted {
				n++
			}
			if tx.Large() {
				return
			}
		}
	}}
	s.submitters.RLock()
	switch {
	case s.closed:
		t.finish(ErrClosed)
	case s.leads.Load() == 0:
		t.finish(ErrNotLeader)
	default:
		s.room <- &t
	}
	s.submitters.RUnlock()
	if err := t.Wait(); err != nil {
		return 0, err
	}
	if evictErr != nil {
		return 0, evictErr
	}
	s.metrics.evicted.Add(uint64(n))
	return n, nil
}

// waitForRoom holds clients' writes back while there is no room for them, and sees to
// the evictions that make it. What waits here was accepted, so it goes on in the end:
// Redis too checks before a command, not in it.
func (s *Shard) waitForRoom() {
	if s.o.Gate == nil || s.following.Load() {
		return
	}
	for {
		select {
		case t := <-s.room:
			s.runBatch(t)
			continue
		default:
		}
		break
	}
	shut := s.o.Gate()
	if shut == nil {
		return
	}
	timer := time.NewTimer(maxGateWait)
	defer timer.Stop()
	for {
		select {
		case t := <-s.room:
			s.runBatch(t)
		case <-shut:
			return
		case <-timer.C:
			return
		case <-s.closing:
			return
		}
	}
}

// CompactParts rewrites the engine in parts, one after the other, so that it takes little
// more room meanwhile. stop is asked between two parts.
func (s *Shard) CompactParts(parts int, stop func() bool) error {
	st := s.acquire()
	defer st.Release()
	return st.ks.EachRange(parts, func(lower, upper []byte) error {
		if stop() {
			return nil
		}
		return st.eng.Compact(s.ctx, lower, upper)
	})
}
