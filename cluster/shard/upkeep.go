package shard

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
)

// reapBatch is the most expired keys that one task deletes, so that clients'
// tasks need not wait long behind it.
const reapBatch = 512

// logCheckInterval is how often the size of the log is looked at.
const logCheckInterval = time.Second

// runUpkeep deletes expired keys and cuts the log until the shard closes.
func (s *Shard) runUpkeep() {
	defer close(s.upkeepDone)
	reap := time.NewTicker(s.o.ReapInterval)
	defer reap.Stop()
	check := time.NewTicker(logCheckInterval)
	defer check.Stop()
	var reaper reaper
	ctx, cancel := context.WithCancel(context.Background())
	var compacting, bounding sync.WaitGroup
	defer bounding.Wait()
	defer compacting.Wait()
	defer cancel()
	flushing := make(chan struct{}, 1) // holds a token while boundLog's flush runs
	for {
		select {
		case <-s.closing:
			return
		case <-reap.C:
			reaper.run(s)
			if reaper.wantsCompaction(s) {
				compacting.Go(func() { s.giveBack(ctx) })
			}
		case <-s.flushed:
			s.logIfErr("cut the log", s.truncate())
		case <-check.C:
			s.expirePins(false)
			if s.o.PinnedBytes() < s.o.MaxLogBytes {
				continue
			}
			select {
			case flushing <- struct{}{}:
				bounding.Go(func() {
					defer func() { <-flushing }()
					s.logIfErr("bound the log", s.boundLog())
				})
			default:
			}
		}
	}
}

func (s *Shard) logIfErr(what string, err error) {
	if err != nil {
		s.o.Logger.Error("cannot "+what, "err", err)
	}
}

// fullReapInterval is how often the reaper looks from the very start of the
// expiry index, for what a clock that was set back has put behind it.
const fullReapInterval = 10 * time.Minute

// reaper remembers where in the expiry index the last look ended, so that it
// does not walk over the tombstones that it left.
type reaper struct {
	from     []byte
	dead     uint64    // keys deleted since the last compaction
	fromTime time.Time // when from was last reset
	lastTime time.Time
}

// run deletes keys whose time has come until there are none, batch by batch.
func (r *reaper) run(s *Shard) {
	now := s.o.Clock()
	if now.Before(r.lastTime) || now.Sub(r.fromTime) > fullReapInterval {
		r.from, r.fromTime = nil, now
	}
	r.lastTime = now
	for s.leads.Load() != 0 && !s.reapOff.Load() && !s.following.Load() {
		more, err := r.reapOnce(s)
		if busy := Busy(""); errors.As(err, &busy) {
			return // the next look will do
		}
		if err != nil && !errors.Is(err, ErrNoSpace) && !errors.Is(err, ErrNotWritable) && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUncertain) && !errors.Is(err, ErrReadOnly) {
			s.logIfErr("delete expired keys", err)
		}
		if err != nil || !more {
			return
		}
		select {
		case <-s.closing:
			return
		default:
		}
	}
}

func (r *reaper) reapOnce(s *Shard) (more bool, err error) {
	var n int
	var next []byte
	var reapErr error
	t := Task{Eval: func(tx *keyspace.Tx) {
		mark := tx.Mark()
		n, next, more, reapErr = s.Keyspace().Reap(tx, r.from, reapBatch)
		if reapErr != nil {
			tx.Rollback(mark)
		}
	}}
	s.Submit(&t)
	if err := t.Wait(); err != nil {
		return false, err
	}
	if reapErr != nil {
		return false, reapErr
	}
	r.from = append(r.from[:0], next...)
	r.dead += uint64(n)
	s.metrics.expired.Add(uint64(n))
	return more, nil
}

// The engine's own compactions follow writes. When what expired is more than a
// third of what is left and nobody writes, its space would stay taken, so all is
// compacted: a compaction then costs at most a few times what it gives back.
const (
	minDeadKeys  = 10_000
	deadFraction = 3
)

// wantsCompaction says so once the reaper has nothing left to do.
func (r *reaper) wantsCompaction(s *Shard) bool {
	if r.dead < minDeadKeys || s.compacting.Load() {
		return false
	}
	var left int64
	for _, c := range s.Keyspace().Counts() {
		left += c.Keys
	}
	if r.dead < uint64(left)/deadFraction {
		return false
	}
	r.dead = 0
	s.compacting.Store(true)
	return true
}

// giveBack compacts the engine so that the space of expired keys is free again.
func (s *Shard) giveBack(ctx context.Context) {
	defer s.compacting.Store(false)
	err := s.Compact(ctx)
	if err != nil && ctx.Err() == nil {
		s.logIfErr("compact after expiry", err)
	}
}

// truncate cuts the log below what the engine has made durable.
func (s *Shard) truncate() error {
	st := s.acquire()
	defer st.Release()
	v, found, err := st.eng.GetDurable(nil, positionKey)
	if err != nil {
		return fmt.Errorf("shard: durable position: %w", err)
	}
	if !found || len(v) != 8 {
		return nil
	}
	return s.o.Log.Truncate(s.held(raftlog.Index(binary.BigEndian.Uint64(v))))
}

// boundLog flushes the engine when the log that cannot be cut has grown too
// long: a few hot keys overwritten for ever fill the log but not the memtable. A large
// write buffer takes seconds, so it is not the upkeep's goroutine that waits for it;
// but that one cuts the log.
func (s *Shard) boundLog() error {
	if err := s.Flush(); err != nil {
		return fmt.Errorf("shard: flush: %w", err)
	}
	s.Flushed()
	return nil
}
