package server

// share readies a connection for messages of others. From then on all output takes
// the way that keeps both in order; it never goes back, since a message may still be
// under way.
func (c *Conn) share() {
	if c.async {
		return
	}
	c.async = true
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shared = true
	if o.corked {
		return
	}
	o.addHeldLocked() // see askToShare
	if len(o.queue) > 0 && !o.active {
		o.active = true
		c.drainLocked()
	}
}

// askToShare has a connection of which the caller is not the goroutine share its output
// soon. What is pushed until then is held.
func (c *Conn) askToShare() {
	c.asked.Store(true)
	if c.sock != nil {
		c.wakeSock()
	}
}

// shareIfAsked is called on the connection's goroutine when it has something to do, or
// is about to wait.
func (c *Conn) shareIfAsked() {
	if c.asked.Load() {
		c.share()
	}
}

// hold holds messages of others back until the commands that have arrived are done and
// their replies leave, where cork does so for one: what a client is told to forget must
// come behind the replies that it would remember. release must follow.
func (c *Conn) hold() {
	c.registeredBefore = c.registered
	if t := c.tracking; t != nil && (t.redirect == 0 || t.redirect == c.id) {
		c.cork()
		c.holding = true
	}
}

// release has the next flush end what hold began.
func (c *Conn) release() { c.holding = false }

// cork holds messages of others back until the replies that the connection's own
// goroutine is making have left: the reply to SUBSCRIBE comes before the first
// message, and the reply to PUBLISH before the message that it makes for the same
// client. The next flush ends it. The caller is the connection's goroutine.
func (c *Conn) cork() {
	if c.corked {
		return
	}
	c.share()
	c.corked = true
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	o.corked = true
}

// takeHeld puts the messages that came while a command ran behind its reply. It
// stays corked: what is in the workspace has not left yet.
func (c *Conn) takeHeld() {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, b := range o.held {
		c.ws.out.Raw(b)
		o.held[i] = nil
	}
	o.held, o.heldBytes = o.held[:0], 0
}

// push sends a message of another goroutine's making to a connection that shares its
// output. b is not changed afterwards, by nobody. It never waits. tooSlow: the client
// has exceeded its limit, and the caller must end it by outputLimit when it holds no
// lock.
func (c *Conn) push(b []byte) (tooSlow bool) {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if o.exceededLocked(c.outputClass(), o.bytes+o.heldBytes+len(b), nanotime()) {
		return true
	}
	if o.corked || !o.shared {
		o.held = append(o.held, b)
		o.heldBytes += len(b)
		return false
	}
	o.addLocked(b)
	if !o.active {
		o.active = true
		c.drainLocked()
	}
	return false
}

// drainLocked has a goroutine empty the outbox, which is active.
func (c *Conn) drainLocked() {
	c.draining.Store(true)
	c.srv.running.Add(1)
	go c.drain()
}

// flushShared is flush for a connection that others send to as well. When nothing
// waits, the connection writes by itself, and what others send meanwhile waits for it;
// with TLS, where writing may wait, it leaves that to the outbox.
func (c *Conn) flushShared() {
	o := &c.outbox
	buf := c.ws.out.Buf
	if len(buf) == 0 && !c.corked || c.dead.Load() {
		c.ws.out.Buf = buf[:0]
		return
	}
	if l := c.outputClass().hard; l > 0 && int64(len(buf)) > l {
		c.outputLimit()
		return
	}
	claimed := len(buf) > 0 && c.tls == nil && o.claim()
	n := 0
	if claimed {
		var err error
		n, err = c.tryWrite(buf)
		c.srv.stats.Writes.Add(1)
		if err != nil {
			n = len(buf)
			defer c.kill()
		}
	}
	if c.ws.out.Buf = buf[:0]; n < len(buf) {
		c.ws.out.Buf = nil // the outbox takes it over
	}
	if c.endFlush(buf[n:], claimed) {
		c.outputLimit()
		return
	}
	c.awaitRoom(len(buf) - n)
}

// claim makes the caller the one that writes to the socket, when nobody does.
func (o *outbox) claim() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.active || o.closed {
		return false
	}
	o.active = true
	return true
}

// addHeldLocked queues what was held back.
func (o *outbox) addHeldLocked() {
	for i, b := range o.held {
		o.addLocked(b)
		o.held[i] = nil
	}
	o.held, o.heldBytes = o.held[:0], 0
}

// endFlush queues what is left of the connection's own output, and behind it what was
// held back. It ends the claim, which a goroutine takes over when there is more.
func (c *Conn) endFlush(rest []byte, claimed bool) (tooSlow bool) {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(rest) == 0:
	case claimed && len(o.queue) > 0:
		// Others have queued since, behind what was being written.
		o.queue = append([][]byte{rest}, o.queue...)
		o.bytes += len(rest)
		o.chargeLocked(c, len(rest))
	default:
		o.addLocked(rest)
		o.chargeLocked(c, len(rest))
	}
	if !c.holding {
		o.addHeldLocked()
		c.corked, o.corked = false, false
	}
	if claimed || !o.active {
		o.active = len(o.queue) > 0
		if o.active {
			c.drainLocked()
		} else {
			o.bytes, o.softAge = 0, 0
			o.unchargeLocked(c)
			o.room.Broadcast()
		}
	}
	return !o.closed && o.exceededLocked(c.outputClass(), o.bytes, nanotime())
}
