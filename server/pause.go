package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dkv/server/command"
)

// pause is CLIENT PAUSE: until a time, clients' writes or all commands wait.
type pause struct {
	mode atomic.Int32 // pauseNone most of the time: all that commands look at
	mu   struct {
		sync.Mutex
		until   int64 // nanotime
		changed chan struct{}
	}
}

// What waits.
const (
	pauseNone int32 = iota
	pauseWrites
	pauseAll
)

func (p *pause) init() { p.mu.changed = make(chan struct{}) }

func (p *pause) on() bool { return p.mode.Load() != pauseNone }

// begin pauses for d. A pause that is on is never made shorter or weaker.
func (p *pause) begin(mode int32, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.until = max(p.mu.until, nanotime()+int64(d))
	p.mode.Store(max(p.mode.Load(), mode))
	p.signalLocked()
}

func (p *pause) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLocked()
}

func (p *pause) endLocked() {
	p.mu.until = 0
	p.mode.Store(pauseNone)
	p.signalLocked()
}

func (p *pause) signalLocked() {
	close(p.mu.changed)
	p.mu.changed = make(chan struct{})
}

// left returns for how long a command of that kind is to wait, and what tells
// when that changes.
func (p *pause) left(writes bool) (time.Duration, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mode := p.mode.Load()
	if mode == pauseNone {
		return 0, nil
	}
	d := time.Duration(p.mu.until - nanotime())
	if d <= 0 {
		p.endLocked()
		return 0, nil
	}
	if mode == pauseWrites && !writes {
		return 0, nil
	}
	return d, p.mu.changed
}

// What SCRIPT keeps is in the log, but it is no data: in Redis it does not wait for a pause of writes.
var (
	specScriptLoad  = command.Lookup([]byte("script")).Sub([]byte("load"))
	specFCall       = command.Lookup([]byte("fcall"))
	specScriptFlush = command.Lookup([]byte("script")).Sub([]byte("flush"))
)

// waitsWithWrites reports whether a command is one that a pause of writes holds back: scripts
// are, unless they say that they do not write, and EXEC with any of these.
func (c *Conn) waitsWithWrites(spec *command.Spec, args [][]byte) bool {
	switch {
	case spec == specExec:
		return slices.ContainsFunc(c.txn.calls, func(k call) bool { return c.waitsWithWrites(k.spec, k.args) })
	case spec.Flags&(command.FlagWrite|command.FlagMayReplicate) != 0:
		return true
	case !spec.MayWrite || spec == specScriptLoad || spec == specScriptFlush || c.srv.scripts.ReadsOnly(spec, args):
		return false
	}
	return spec != specFCall || c.declaredFlags(spec, args)&command.FlagWrite != 0
}

// waitPaused holds a command back while clients are paused, after the replies
// to earlier ones were sent. It reports whether the client is still there.
func (c *Conn) waitPaused(spec *command.Spec, args [][]byte) bool {
	writes := c.waitsWithWrites(spec, args)
	waited := false
	for !c.dead.Load() && !c.srv.closing.Load() {
		d, changed := c.srv.pause.left(writes)
		if d <= 0 {
			break
		}
		if !waited {
			waited = true
			c.leave()
			c.finish()
			c.flush()
			c.setFlag(flagPaused, true)
			c.srv.admin.blocked.Add(1) // INFO counts them among the blocked
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-changed:
		case <-c.cut:
		case <-c.srv.done:
		}
		t.Stop()
	}
	if waited {
		c.setFlag(flagPaused, false)
		c.srv.admin.blocked.Add(-1)
	}
	return !c.dead.Load()
}
