package server

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// loop runs connections whose clients have sent something, all from one
// goroutine: what is read together is answered together, or becomes one batch of
// writes, and nobody is woken for it but the loop.
//
// A connection that has to wait, for another node, a disk, a pause, keeps the
// goroutine that it is on, and another one leads the loop on (Schmidt et al.,
// "Leader/Followers", 2000). So the code of a session may wait wherever it likes,
// as long as it says so before: see Conn.leave.
type loop struct {
	srv  *Server
	poll *poller
	done chan struct{}
	pace atomic.Int64 // see took

	spare  chan struct{} // calls a goroutine that waits to lead the loop
	spares atomic.Int32  // how many wait

	mu struct {
		sync.Mutex
		conns map[int]*Conn // by file descriptor
	}

	// round belongs to the goroutine that leads.
	round struct {
		ready   []*Conn // have news; they are busy
		next    int     // in ready
		again   []*Conn // have more, after the others
		waiting []*Conn // have writes collected, or reads put off
		needs   uint64  // a bit a shard: reads of it were put off
		warmer  warmer
	}
}

// startLoops starts n loops.
func (s *Server) startLoops(n int) error {
	for range n {
		p, err := newPoller()
		if err != nil {
			return err
		}
		l := &loop{srv: s, poll: p, done: make(chan struct{}), spare: make(chan struct{})}
		l.mu.conns = make(map[int]*Conn)
		s.loops = append(s.loops, l)
		go l.serve()
	}
	return nil
}

// stopLoops ends the loops, when they have no connections any more.
func (s *Server) stopLoops() {
	for _, l := range s.loops {
		if err := l.poll.close(); err != nil {
			s.log.Error("cannot close an event loop", "err", err)
		}
		<-l.done
	}
}

// takeSock readies a connection for a loop. Where that cannot be it needs a
// goroutine of its own.
func (s *Server) takeSock(c *Conn) {
	if len(s.loops) == 0 {
		return
	}
	fd, err := dupSocket(c.nc)
	if err != nil {
		return
	}
	l := s.loops[s.nextLoop.Add(1)%uint64(len(s.loops))]
	c.sock = &sock{loop: l, fd: fd, room: make(chan struct{}, 1)}
	c.fd = fd
}

// watch has the loop run the connection from now on.
func (c *Conn) watch() {
	l, fd := c.sock.loop, c.sock.fd
	// Only to be watched by one poller; nc still knows its addresses.
	c.nc.Close()
	l.mu.Lock()
	l.mu.conns[fd] = c
	l.mu.Unlock()
	c.srv.running.Add(1)
	if err := l.poll.add(fd); err != nil {
		c.srv.log.Error("cannot watch a connection", "err", err)
		if c.sock.news() {
			go c.retire()
		}
	}
}

func (l *loop) forget(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mu.conns, fd)
}

// lead runs the loop until a connection keeps this goroutine, or the loop ends.
func (l *loop) lead() {
	rd := &l.round
	for {
		for rd.next < len(rd.ready) {
			c := rd.ready[rd.next]
			rd.ready[rd.next] = nil
			rd.next++
			c.host, c.sock.more = l, true
			if !c.turn() {
				return
			}
		}
		rd.ready, rd.next = rd.ready[:0], 0
		if len(rd.waiting) > 0 {
			l.conclude()
			return
		}
		if err := l.look(); err != nil {
			if !errors.Is(err, os.ErrClosed) {
				panic(err) // epoll itself failed: all clients would hang
			}
			close(l.done)
			return
		}
	}
}

// maxSpare is how many goroutines that have led a loop wait to lead it again. Where
// a commit waits for the disk, that many rounds may wait for it; with fewer spare ones
// each round that comes next would grow a stack anew.
const maxSpare = 32

// goOn is host's. A goroutine that has led before has a stack of the size that it
// takes; those of new ones grow, some copies each.
func (l *loop) goOn() {
	select {
	case l.spare <- struct{}{}:
	default:
		go l.serve()
	}
}

// serve leads the loop, and again when it is called to, unless enough others wait
// to be called.
func (l *loop) serve() {
	for {
		l.lead()
		if l.spares.Add(1) > maxSpare {
			l.spares.Add(-1)
			return
		}
		select {
		case <-l.spare:
			l.spares.Add(-1)
		case <-l.done:
			return
		}
	}
}

// look waits for news of connections.
func (l *loop) look() error {
	rd := &l.round
	events, err := l.poll.wait(len(rd.again) == 0)
	if err != nil {
		return err
	}
	rd.ready = append(rd.ready, rd.again...)
	clear(rd.again)
	rd.again = rd.again[:0]
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range events {
		ev := &events[i]
		c := l.mu.conns[int(ev.Fd)]
		if c == nil {
			continue // it was closed meanwhile
		}
		if ev.Events&unix.EPOLLOUT != 0 && c.draining.Load() {
			signal(c.sock.room)
		}
		if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			c.sock.hangup.Store(true)
			c.unblock(waitGone)
		}
		if ev.Events&^unix.EPOLLOUT != 0 && c.sock.news() {
			rd.ready = append(rd.ready, c)
		}
	}
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is signalled already
	}
}

// turn runs what the client has sent, until there is nothing more. The caller has
// made the connection busy. It reports whether the goroutine still leads the loop
// that it led.
func (c *Conn) turn() (leads bool) {
	for {
		c.shareIfAsked()
		if !c.sock.more {
			h := c.host
			c.host = nil
			if c.rest() {
				return h != nil
			}
			c.host = h
		}
		switch err := c.fill(); {
		case errors.Is(err, errNothing):
			if c.srv.closing.Load() {
				return c.retire()
			}
			continue
		case err != nil:
			c.readFailed(err)
			return c.retire()
		}
		c.runAll()
		if c.waits() {
			return true
		}
		if !c.conclude() || c.srv.closing.Load() {
			return c.retire()
		}
		if c.sock.more && c.host != nil {
			// Others first: a client may send without end.
			l := c.sock.loop
			c.host = nil
			l.round.again = append(l.round.again, c)
			return true
		}
	}
}

// rest ends a run of the connection, which from then on belongs to whoever gets
// the next news of it. false: there was news meanwhile, and the run goes on.
func (c *Conn) rest() bool {
	c.reader.Release()
	return c.sock.rest()
}

// waits puts the connection on the round's list when all that is left to do is to
// wait for writes that this node commits, or for reads that were put off.
func (c *Conn) waits() bool {
	l, leads := c.host.(*loop)
	if !leads || c.closing || c.dead.Load() || l.cold() {
		return false
	}
	ws := c.ws
	for _, r := range ws.active {
		if !c.srv.leads(r.shard) {
			return false
		}
	}
	for i := range ws.reads {
		l.round.needs |= 1 << ws.reads[i].shard
	}
	if len(ws.active) == 0 && len(ws.reads) == 0 {
		return false
	}
	l.round.waiting = append(l.round.waiting, c)
	return true
}

// retire ends a connection, which may wait for its last replies to leave. It
// returns what turn returns.
func (c *Conn) retire() (leads bool) {
	if c.outbox.busy() {
		c.leave()
	}
	leads = c.host != nil
	c.host = nil
	c.reader.Release()
	c.end()
	c.sock.close()
	c.srv.running.Done()
	return leads
}

// conclude sees through what the round has collected, while another goroutine
// leads the loop.
func (l *loop) conclude() {
	k := &conclusion{srv: l.srv, list: l.round.waiting}
	needs := l.round.needs
	l.round.waiting, l.round.needs = nil, 0
	l.round.warmer.warmTogether(l.srv, k.list)
	for _, c := range k.list {
		c.enqueueAll()
	}
	l.goOn()
	if needs != 0 {
		k.fresh = l.srv.node.Barriers(l.srv.work, needs)
	}
	k.run()
}

// conclusion is what is left of a round.
type conclusion struct {
	srv   *Server
	list  []*Conn
	fresh uint64 // a bit a shard: its read barrier was after the requests
}

// goOn is host's.
func (k *conclusion) goOn() { go k.run() }

// run replies to one client after the other.
func (k *conclusion) run() {
	for len(k.list) > 0 {
		c := k.list[0]
		k.list = k.list[1:]
		c.host, c.fresh = k, k.fresh
		goesOn := c.conclude() && !c.srv.closing.Load()
		left := c.host == nil
		c.host, c.fresh = nil, 0
		switch {
		case !goesOn && left:
			c.retire()
		case !goesOn:
			go c.retire()
		case c.sock.more || !c.rest():
			go c.turn()
		}
		if left {
			return
		}
	}
}

// enqueueAll has the collected requests enqueued; finish awaits them.
func (c *Conn) enqueueAll() {
	ws := c.ws
	for _, r := range ws.active {
		if len(ws.active) == 1 {
			r.mark = len(ws.out.Buf)
		} else {
			r.separate()
		}
		r.enqueue()
	}
}

// wakeSock makes a connection look up from waiting for its client.
func (c *Conn) wakeSock() {
	if c.sock.news() {
		c.sock.more = true
		go c.turn()
	}
}
