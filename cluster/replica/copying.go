package replica

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/raftsnap"
	"dkv/cluster/shard"
)

// copying is a full copy that is under way, or waits to be resumed.
type copying struct {
	id       string
	shard    raftlog.ShardID
	pinned   *shard.Pinned
	src      *raftsnap.Source
	at       shard.Position
	hold     *shard.Hold
	bytes    uint64 // about
	logBytes int64  // when it began
	inUse    bool
	left     time.Time // when it was last not in use any more
}

func (c *copying) close(log *slog.Logger) {
	c.hold.Release()
	if err := c.src.Close(); err != nil {
		log.Error("cannot close the snapshot of a copy", "err", err)
	}
}

// beginCopyLocked gives the session the copy that it resumes, or a new one.
func (s *Source) beginCopyLocked(ss *Session) error {
	s.sweepLocked()
	if c := s.mu.copies[ss.req.CopyID]; c != nil && !c.inUse && c.shard == ss.req.Shard {
		c.inUse, ss.copy, ss.place = true, c, ss.req.Place
		ss.copies.Store(true)
		return nil
	}
	if ss.req.From.History != "" {
		s.mu.metrics.PartialRefused++
	}
	if len(s.mu.copies) >= maxCopies && !s.evictLocked() {
		return ErrBusy
	}
	pinned, at, hold, err := ss.shard.Pin()
	if err != nil {
		return fmt.Errorf("ERR DKV.SYNC: %w", err)
	}
	c := &copying{
		id: strconv.FormatUint(rand.Uint64(), 16), shard: ss.req.Shard, pinned: pinned, at: at, hold: hold,
		src: raftsnap.NewSource(pinned), bytes: ss.shard.Metrics().Engine.DiskBytes, logBytes: s.o.LogBytes(), inUse: true,
	}
	s.mu.copies[c.id] = c
	s.mu.metrics.Full++
	ss.copy = c
	ss.copies.Store(true)
	return nil
}

// sweepLocked ends the copies that nobody has come back for.
func (s *Source) sweepLocked() {
	now := s.o.Clock()
	for id, c := range s.mu.copies {
		if !c.inUse && (now.Sub(c.left) > resumeTime || s.tooMuchHeld(c)) {
			c.close(s.o.Logger)
			delete(s.mu.copies, id)
		}
	}
}

// evictLocked ends the copy that has waited longest to be resumed, if there is one.
func (s *Source) evictLocked() bool {
	var oldest *copying
	for _, c := range s.mu.copies {
		if !c.inUse && (oldest == nil || c.left.Before(oldest.left)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	oldest.close(s.o.Logger)
	delete(s.mu.copies, oldest.id)
	return true
}

// Sweep is to be called from time to time: it ends the copies that nobody has come
// back for, whose log need not be kept any more.
func (s *Source) Sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweepLocked()
}

// tooMuchHeld says whether the log has grown for a copy beyond what may be. A log
// that is larger than what is copied would have the replica never catch up.
func (s *Source) tooMuchHeld(c *copying) bool {
	return s.o.DiskFull() || s.o.LogBytes()-c.logBytes > s.o.MaxHeldBytes+int64(c.bytes)
}

// endCopy ends a session's copy. One that was broken off can be resumed.
func (s *Source) endCopy(c *copying, resumable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if resumable && !s.mu.closed {
		c.inUse, c.left = false, s.o.Clock()
		return
	}
	c.close(s.o.Logger)
	delete(s.mu.copies, c.id)
}
