package server

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"dkv/cluster"
	"dkv/resp"
	"dkv/server/command"
)

func init() { bind("bgrewriteaof", bgRewriteAOF) }

// rewriting is what INFO tells of BGREWRITEAOF.
type rewriting struct {
	running   atomic.Bool
	scheduled atomic.Bool  // it begins when the save that is under way has ended
	began     atomic.Int64 // when the one under way began, or the last, unix ns
	nanos     atomic.Int64 // how long the last took, -1 before the first
	count     atomic.Uint64
	failed    atomic.Bool // the last one

	saveScheduled atomic.Bool // BGSAVE SCHEDULE: it begins when the rewriting has ended
}

const (
	errRewriting     resp.Error = "ERR Background append only file rewriting already in progress"
	errSaveRewriting resp.Error = "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible."
)

// bgRewriteAOF compacts nothing by itself: the log is cut when the engine has
// flushed what it holds, so that is what is asked for.
func bgRewriteAOF(c *Conn, x *command.Ctx) error {
	s, r := c.srv, &c.srv.admin.rewrite
	if r.running.Load() {
		return errRewriting
	}
	if s.saving() {
		r.scheduled.Store(true)
		if s.saving() { // it will see that
			x.Out.Simple("Background append only file rewriting scheduled")
			return nil
		}
		r.scheduled.Store(false)
	}
	if !s.rewrite() {
		return errRewriting
	}
	if c.txn.running { // what Redis says there; it begins then, too
		x.Out.Simple("Background append only file rewriting scheduled")
		return nil
	}
	x.Out.Simple("Background append only file rewriting started")
	return nil
}

// saving reports whether a SAVE, BGSAVE or backup is under way.
func (s *Server) saving() bool {
	a := s.admin
	return a.saveBegan.Load() != 0 || a.saveSoon.Load() > 0
}

// rewrite has the engine flushed in the background; false: that is under way already.
func (s *Server) rewrite() bool {
	r := &s.admin.rewrite
	if !r.running.CompareAndSwap(false, true) {
		return false
	}
	start := s.clock()
	r.began.Store(start.UnixNano())
	s.running.Go(func() {
		err := s.node.Save(context.Background())
		r.nanos.Store(max(int64(s.clock().Sub(start)), 0))
		// A save that has begun meanwhile flushes as well.
		failed := err != nil && !errors.Is(err, cluster.ErrSaveInProgress)
		r.failed.Store(failed)
		r.count.Add(1)
		r.running.Store(false)
		if failed {
			s.log.Error("BGREWRITEAOF failed", "err", err)
		}
		if r.saveScheduled.Swap(false) {
			s.inBackground(s.save)
		}
	})
	return true
}

// rewriteScheduled begins what was put off until a save has ended.
func (s *Server) rewriteScheduled() {
	if s.admin.rewrite.scheduled.Swap(false) {
		s.rewrite()
	}
}

// infoRewriting writes the lines about BGREWRITEAOF.
func infoRewriting(w *infoWriter) {
	r := &w.srv.admin.rewrite
	last, current, status := int64(-1), int64(-1), "ok"
	if n := r.nanos.Load(); n >= 0 {
		last = n / int64(time.Second)
	}
	if r.running.Load() {
		current = max(w.now.UnixNano()-r.began.Load(), 0) / int64(time.Second)
	}
	if r.failed.Load() {
		status = "err"
	}
	w.line("aof_rewrite_in_progress", oneIf(r.running.Load()))
	w.line("aof_rewrite_scheduled", oneIf(r.scheduled.Load()))
	w.line("aof_last_rewrite_time_sec", last)
	w.line("aof_current_rewrite_time_sec", current)
	w.line("aof_last_bgrewrite_status", status)
	w.line("aof_rewrites", r.count.Load())
}
