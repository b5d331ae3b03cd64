package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Session serves one shard of one replica.
type Session struct {
	src   *Source
	shard *shard.Shard
	req   Request
	began time.Time

	// These belong to Run.
	at    shard.Position // the replica has everything up to here, or it is on its way
	copy  *copying       // nil: nothing is to be copied
	place []byte         // in it
	hold  *shard.Hold    // until the replica has caught up after the copy
	buf   []byte
	send  func(frame []byte) error
	// orphaned counts the heartbeats since the shard has had no leader.
	orphaned int
	path     string    // that the replica was told
	looked   time.Time // when it was compared with the source's

	messages *messages
	copies   atomic.Bool   // a full copy is sent, and the replica has not switched to it yet
	copyEnd  atomic.Uint64 // where the copy that was sent ends; 0: none was
	acked    atomic.Uint64
	durable  atomic.Uint64 // likewise, and on the replica's disk
	heard    atomic.Int64  // unix ns
}

// Ack notes that the replica has applied everything up to index, and that it has it on
// its disk. Any goroutine may call it.
func (ss *Session) Ack(index raftlog.Index, durable bool) {
	ss.heard.Store(ss.src.o.Clock().UnixNano())
	if end := ss.copyEnd.Load(); end != 0 && uint64(index) >= end {
		ss.copies.Store(false) // it counts from now on, not from the next heartbeat
	}
	news := ss.acked.Swap(uint64(index)) != uint64(index)
	if durable {
		news = ss.durable.Swap(uint64(index)) != uint64(index) || news
	}
	if !news {
		return
	}
	ss.src.mu.Lock()
	defer ss.src.mu.Unlock()
	ss.src.changedLocked()
}

// Run sends what the replica needs until ctx ends or something fails, and returns
// why. send writes one frame; it may block for as long as SourceOptions.Timeout,
// and does not keep it.
func (ss *Session) Run(ctx context.Context, send func(frame []byte) error) error {
	ss.send = send
	err := ss.run(ctx)
	ss.end(err)
	return err
}

// Cancel ends a session that is not going to be run.
func (ss *Session) Cancel() { ss.end(nil) }

func (ss *Session) end(err error) {
	s := ss.src
	s.mu.Lock()
	delete(s.mu.sessions, ss)
	s.changedLocked()
	if slow(err) {
		s.mu.metrics.Dropped++
	}
	s.mu.Unlock()
	if ss.hold != nil {
		ss.hold.Release()
	}
	if ss.copy != nil {
		// What failed on the way can be resumed; a log that cannot be held cannot.
		s.endCopy(ss.copy, !errors.Is(err, errCopyHeld))
	}
}

// slow says whether a session ended because its replica could not keep up.
func slow(err error) bool {
	return errors.Is(err, shard.ErrCut) || errors.Is(err, errStuck) || errors.Is(err, errCopyHeld) || errors.Is(err, os.ErrDeadlineExceeded)
}

// DropReason says why a session was ended by the source because of its replica, in
// words for the log; "" when it just ended.
func DropReason(err error) string {
	switch {
	case errors.Is(err, shard.ErrCut):
		return "the log that it still needs has been cut (repl-log-size); it will be copied in full"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errStuck.Error()
	case slow(err):
		return err.Error()
	}
	return ""
}

func (ss *Session) run(ctx context.Context) error {
	if err := ss.tellPath(); err != nil {
		return err
	}
	if ss.copy != nil {
		if err := ss.runCopy(ctx); err != nil {
			return err
		}
	}
	idle := time.NewTimer(heartbeat)
	defer idle.Stop()
	// At once, so that the replica learns how far the source is.
	if err := ss.sendFrame(&Frame{Type: FrameHeartbeat, At: ss.at, Prev: ss.at.Index}); err != nil {
		return err
	}
	for {
		changed := ss.shard.Changed()
		sent, err := ss.sendEntries()
		if err != nil {
			return err
		}
		if err := errors.Join(ss.settleCopy(), ss.tellPath()); err != nil {
			return err
		}
		told, err := ss.sendMessages()
		if err != nil {
			return err
		}
		if sent > 0 || told {
			if sent > 0 && sent < smallFrame {
				ss.collect(ctx, idle)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		}
		if ss.hold != nil {
			ss.hold.Release() // it has caught up: from now on it must keep up
			ss.hold = nil
		}
		idle.Reset(heartbeat)
		select {
		case <-changed:
		case <-ss.messages.wake:
		case <-idle.C:
			if err := ss.beat(); err != nil {
				return err
			}
		case <-ss.shard.Group().Done():
			return errClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const (
	collectTime = 2 * time.Millisecond // see SourceOptions.CollectTime
	// smallFrame is the size from which a frame's bytes cost more than its being one.
	smallFrame = 32 << 10
)

// collect waits after a small frame, so that the next one holds what comes until then:
// a frame for each entry costs the source, for each replica, an eighth of what the
// writes themselves cost it, and the replica a sync of its log. What comes after a quiet
// time is sent at once, and so is everything while somebody waits for replicas.
func (ss *Session) collect(ctx context.Context, timer *time.Timer) {
	if ss.src.awaited() {
		return
	}
	timer.Reset(ss.src.o.CollectTime)
	select {
	case <-timer.C:
	case <-ss.messages.wake:
	case <-ss.shard.Group().Done():
	case <-ctx.Done():
	}
}

// beat is what there is to do each second when nothing is sent.
func (ss *Session) beat() error {
	if silent := ss.src.o.Clock().UnixNano() - ss.heard.Load(); time.Duration(silent) > ss.src.o.Timeout() {
		return errStuck
	}
	// A member that is cut off from its cluster has nothing new for long: another
	// one may.
	if ss.shard.Group().Status().Leader != 0 {
		ss.orphaned = 0
	} else if ss.orphaned++; ss.orphaned > maxOrphaned {
		return errNoLeader
	}
	return ss.sendFrame(&Frame{Type: FrameHeartbeat, At: ss.at, Prev: ss.at.Index})
}

// maxPath bounds how many histories a path names. Nobody is told of a ring of more nodes.
const maxPath = 64

// tellPath tells the replica the source's path, when that has changed: as often as the
// source has something to say when it is idle.
func (ss *Session) tellPath() error {
	now := ss.src.o.Clock()
	if ss.req.Own == "" || now.Sub(ss.looked) < heartbeat {
		return nil
	}
	ss.looked = now
	list := ss.src.o.Path()
	path := strings.Join(list[:min(len(list), maxPath)], ",")
	if path == ss.path {
		return nil
	}
	ss.path = path
	return ss.sendFrame(&Frame{Type: FramePath, At: ss.at, Prev: ss.at.Index, Path: path})
}

// maxOrphaned is for how many heartbeats a shard without a leader is served.
const maxOrphaned = 5

// sendEntries sends a frame of what comes next, if there is anything, and returns how
// many bytes it had.
func (ss *Session) sendEntries() (sent int, err error) {
	entries, err := ss.shard.Committed(ss.at.Index+1, frameBytes)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	if at := ss.shard.Mark(ss.at.Index, raftlog.Index(entries[len(entries)-1].GetIndex())); at != 0 {
		entries = entries[:at-ss.at.Index]
	}
	f := Frame{Type: FrameEntries, Prev: ss.at.Index}
	sent = frameHeaderBytes
	for _, e := range entries {
		if e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 {
			f.Batches = append(f.Batches, e.GetData())
			sent += len(e.GetData())
		}
	}
	last := entries[len(entries)-1]
	f.At = shard.Position{Index: raftlog.Index(last.GetIndex()), Term: raftlog.Term(last.GetTerm())}
	if err := ss.sendFrame(&f); err != nil {
		return 0, err
	}
	ss.at = f.At
	if h := ss.hold; h != nil {
		h.Move(f.At.Index)
	}
	return sent, nil
}

// maxKeptFrame is how much memory a session keeps for its next frame.
const maxKeptFrame = 2 * frameBytes

func (ss *Session) sendFrame(f *Frame) error {
	f.Sent, f.Head = ss.src.o.Clock().UnixMilli(), ss.shard.Applied()
	ss.buf = f.Append(ss.buf[:0])
	err := ss.send(ss.buf)
	n := len(ss.buf)
	if cap(ss.buf) > maxKeptFrame {
		ss.buf = nil
	}
	if err != nil {
		return fmt.Errorf("replica: send: %w", err)
	}
	ss.src.mu.Lock()
	ss.src.mu.metrics.SentBytes += uint64(n)
	ss.src.mu.Unlock()
	return nil
}

// runCopy sends the copy, whose log is then held until the replica has caught up.
func (ss *Session) runCopy(ctx context.Context) error {
	c := ss.copy
	for last := false; !last; {
		if ss.src.tooMuchHeld(c) {
			return errCopyHeld
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		f := Frame{Type: FrameChunk, At: c.at, Prev: c.at.Index}
		var err error
		f.Chunk, f.Place, last, err = c.src.Next(ss.place)
		if err != nil {
			return fmt.Errorf("replica: copy: %w", err)
		}
		f.Last = last
		if err := ss.sendFrame(&f); err != nil {
			return err
		}
		ss.place = f.Place
	}
	ss.at = c.at
	ss.copyEnd.Store(uint64(c.at.Index))
	ss.hold = ss.shard.KeepFrom(c.at.Index)
	return nil
}

// settleCopy lets go of the copy once the replica has switched to it: until then it
// may have to be resumed.
func (ss *Session) settleCopy() error {
	c := ss.copy
	if c == nil {
		return nil
	}
	if raftlog.Index(ss.acked.Load()) >= c.at.Index {
		ss.copy = nil
		ss.copies.Store(false)
		ss.src.endCopy(c, false)
		return nil
	}
	if ss.src.tooMuchHeld(c) {
		return errCopyHeld
	}
	return nil
}
