package raftlog

import "fmt"

// Reserve makes sure that entries with n bytes of data, on top of what other
// shards reserved, can be appended without meeting a full disk. n counts all
// that the shard has proposed and not appended yet: a call replaces the one
// before, appending uses it up, and 0 gives back what is left. Usually it costs
// a comparison; else it allocates the next segment. The error wraps
// engine.ErrNoSpace and leaves everything as it was; some room is left then for
// hard states and configurations.
func (s *ShardLog) Reserve(n int64) error {
	l := s.l
	if err := l.usable(); err != nil {
		return err
	}
	if n > 0 {
		n += reserveOverhead
	}
	old := s.reserved.Swap(n)
	total := l.reserved.Add(n - old)
	if n == 0 || total+l.margin() <= l.room.Load() {
		return nil
	}
	err := l.do(&request{fn: func() error {
		need := l.reserved.Load() + l.margin()
		if need <= l.room.Load() {
			return nil
		}
		return l.prepare(need)
	}, wake: make(chan struct{}, 1)})
	if err != nil {
		l.reserved.Add(old - n)
		s.reserved.Add(old - n)
		return fmt.Errorf("raftlog: reserve %d bytes: %w", n, err)
	}
	return nil
}

// reserveOverhead is what records and their meta may take beside the data that
// is reserved for; what is above it comes out of the margin.
const reserveOverhead = 512

// useReserved takes appended bytes off the shard's reservation.
func (s *ShardLog) useReserved(n int64) {
	for {
		old := s.reserved.Load()
		if old == 0 {
			return
		}
		left := old - n
		if left <= reserveOverhead {
			left = 0
		}
		if s.reserved.CompareAndSwap(old, left) {
			s.l.reserved.Add(left - old)
			return
		}
	}
}
