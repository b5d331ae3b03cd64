package server

import (
	"sync"
)

// maxPendingOutput is how many bytes may wait for a client that sends more
// requests while it is slow to read replies. At this size its requests are no
// longer read. It is not small, because many client libraries send a whole
// pipeline before they read the first reply: both sides would wait for each
// other forever.
const maxPendingOutput = 64 << 20

// outbox is output that waits until the client's socket takes it. It is unused
// as long as the client keeps up: then the connection writes to the socket
// itself. A goroutine empties it and ends when it is empty.
type outbox struct {
	mu      sync.Mutex
	room    sync.Cond // signalled when output was sent, or the connection ended
	queue   [][]byte
	tail    bool // the last piece of queue is the outbox's own, more can be appended
	bytes   int
	charged int   // of bytes, what the client is charged for, see unchargeLocked
	active  bool  // a goroutine is emptying queue
	closed  bool  // nothing is taken any more
	softAge int64 // nanotime since when bytes are above the soft limit; 0: they are not

	shared    bool // others may send, see Conn.share; until then what they send is held
	corked    bool // messages of others wait in held, see Conn.cork
	held      [][]byte
	heldBytes int
}

// limit is a client-output-buffer-limit.
type limit struct {
	hard, soft  int64 // bytes; 0 is none
	softSeconds int64
}

func (l *OutputLimit) load() limit {
	return limit{l.Hard.Load(), l.Soft.Load(), l.SoftSeconds.Load()}
}

// exceededLocked says whether bytes waiting at the time now are too many.
func (o *outbox) exceededLocked(l limit, bytes int, now int64) bool {
	if l.hard > 0 && int64(bytes) > l.hard {
		return true
	}
	if l.soft <= 0 || int64(bytes) <= l.soft {
		o.softAge = 0
		return false
	}
	if o.softAge == 0 {
		o.softAge = now
	}
	return now-o.softAge > l.softSeconds*1e9
}

// flush sends what the connection's commands have answered. The buffer is empty
// afterwards.
func (c *Conn) flush() {
	c.ws.readAt = 0
	c.ws.sent()
	if c.async {
		c.flushShared()
		return
	}
	buf := c.ws.out.Buf
	if len(buf) == 0 || c.dead.Load() {
		c.ws.out.Buf = buf[:0]
		return
	}
	n := 0
	if !c.outbox.busy() {
		if l := c.srv.config.OutputLimitNormal.Hard.Load(); l > 0 && int64(len(buf)) > l {
			c.outputLimit()
			return
		}
		var err error
		if n, err = c.tryWrite(buf); err != nil {
			c.kill()
			return
		}
		c.srv.stats.Writes.Add(1)
	}
	if n == len(buf) {
		c.ws.out.Buf = buf[:0]
		return
	}
	// The outbox takes the buffer over.
	c.ws.out.Buf = nil
	c.enqueue(buf[n:], false)
	c.awaitRoom(len(buf) - n)
}

func (o *outbox) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.active
}

// pieceBytes is the size up to which output is copied together, so that many
// small messages leave in one write.
const pieceBytes = 64 << 10

// enqueue adds b to the outbox; the caller must not change it afterwards. Any
// goroutine may call it for a connection that is async, and only its own for
// one that is not. Messages of others are dropped when the client no longer
// wants them.
func (c *Conn) enqueue(b []byte, fromOther bool) {
	if fromOther {
		c.send(b, nil)
		return
	}
	c.send(b, func() {})
}

// send is enqueue for the connection's own goroutine with joined, which is called
// when nothing can come before b any more, and for others without.
func (c *Conn) send(b []byte, joined func()) {
	o := &c.outbox
	o.mu.Lock()
	if o.closed || joined == nil && !c.monitoring.Load() {
		o.mu.Unlock()
		return
	}
	if joined != nil {
		joined()
	}
	tooMuch := o.exceededLocked(c.outputClass(), o.bytes+len(b), nanotime())
	if !tooMuch {
		o.addLocked(b)
		if joined != nil {
			o.chargeLocked(c, len(b))
		}
	}
	start := !o.active && !tooMuch
	if start {
		o.active = true
		c.draining.Store(true)
		c.srv.running.Add(1)
	}
	o.mu.Unlock()
	switch {
	case tooMuch:
		c.outputLimit()
	case start:
		go c.drain()
	}
}

func (o *outbox) addLocked(b []byte) {
	o.bytes += len(b)
	if len(b) > pieceBytes/4 {
		o.queue, o.tail = append(o.queue, b), false
		return
	}
	if n := len(o.queue); o.tail && len(o.queue[n-1])+len(b) <= pieceBytes {
		o.queue[n-1] = append(o.queue[n-1], b...)
		return
	}
	o.queue, o.tail = append(o.queue, append([]byte(nil), b...)), true
}

// drain empties the outbox into the socket.
func (c *Conn) drain() {
	defer c.srv.running.Done()
	o := &c.outbox
	var batch [][]byte
	for {
		o.mu.Lock()
		o.room.Broadcast()
		if len(o.queue) == 0 || o.closed {
			o.active = false
			c.draining.Store(false)
			o.queue, o.tail, o.bytes, o.softAge = nil, false, 0, 0
			o.unchargeLocked(c)
			o.mu.Unlock()
			return
		}
		batch, o.queue, o.tail = o.queue, nil, false
		o.mu.Unlock()
		for _, b := range batch {
			n, err := c.write(b)
			c.srv.stats.Writes.Add(1)
			c.srv.stats.NetOutput.Add(uint64(n))
			o.mu.Lock()
			o.bytes -= len(b)
			o.unchargeLocked(c)
			o.mu.Unlock()
			if err != nil {
				c.kill()
				break
			}
		}
	}
}

// write writes all of b to the socket, from the outbox's goroutine.
func (c *Conn) write(b []byte) (int, error) {
	if c.sock != nil {
		return c.sock.write(b, c.cut)
	}
	return c.nc.Write(b)
}

// awaitRoom holds the connection's goroutine while too much output waits, to which
// it has added some bytes: a slow client is no longer read.
func (c *Conn) awaitRoom(added int) {
	if added > leastEvicted {
		c.srv.keepClientMemory()
	}
	o := &c.outbox
	if bytes, _ := o.pending(); bytes <= c.srv.pendingLimit() {
		return
	}
	c.ws.endReads() // what they look at is kept for them, and grows old
	c.leave()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.active && o.bytes > c.srv.pendingLimit() && !o.closed {
		o.room.Wait()
	}
}

// awaitEmpty waits until everything was sent, or cannot be.
func (c *Conn) awaitEmpty() {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.active && !o.closed {
		o.room.Wait()
	}
}

// close drops what waits.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.room.Broadcast()
}

// pending returns how many bytes wait, and in how many pieces.
func (o *outbox) pending() (bytes, pieces int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes, len(o.queue)
}

// owes returns how many bytes wait, those that are held back included.
func (o *outbox) owes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes + o.heldBytes
}

// checkOutput closes the connection when its output has been above the soft
// limit for too long.
func (c *Conn) checkOutput(now int64) {
	o := &c.outbox
	o.mu.Lock()
	tooMuch := o.active && o.exceededLocked(c.outputClass(), o.bytes, now)
	o.room.Broadcast() // pendingLimit may be another by now
	o.mu.Unlock()
	if tooMuch {
		c.outputLimit()
	}
}

// outputClass returns the limits that this client is under.
func (c *Conn) outputClass() limit {
	if c.monitoring.Load() || c.shared.flags.Load()&flagPubSub != 0 {
		return c.srv.config.OutputLimitPubSub.load()
	}
	return c.srv.config.OutputLimitNormal.load()
}

// outputLimit closes the connection of a client that reads too slowly.
func (c *Conn) outputLimit() {
	if c.kill() {
		c.srv.stats.OutputLimitKills.Add(1)
		c.srv.log.Warn("client closed: output buffer limit", "id", c.id, "addr", c.addr)
	}
}
