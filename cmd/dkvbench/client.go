package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

const (
	reconnectWait  = 100 * time.Millisecond
	reconnectLimit = 10 * time.Second // without success in so long, the run fails
	readBuffer     = 64 << 10
	// asyncWrite is the size of a pipeline from which on it is written while
	// replies are read: a server may stop reading while its replies wait.
	asyncWrite = 64 << 10
)

// client is one connection that carries load. Its goroutine owns it.
type client struct {
	ph  *phase
	id  int
	nc  net.Conn
	gen *generator
	rec *recorder

	parser   replyParser
	rbuf     []byte
	inflight []op  // sent, in order
	done     int   // of them, answered
	sent     int64 // when they were sent: ns since the phase began
	seconds  []op  // of opRMW: read, to be written with the next pipeline
	spare    []op  // memory of seconds, in turn

	slot uint64        // the schedule's next operation of this connection, counted per connection
	wake chan struct{} // from the pacer: an operation is due
	// final: the phase has stopped, and the last pipeline was composed
	final bool
}

// run carries load until the phase is over. An error is one that ends the
// whole phase.
func (c *client) run() error {
	defer func() { c.nc.Close() }()
	for {
		if !c.compose() {
			return nil
		}
		err := c.exchange()
		if err == nil {
			continue
		}
		if c.ph.stopping() && errors.Is(err, os.ErrDeadlineExceeded) {
			c.recordLate(c.inflight[c.done:])
			c.recordLate(c.seconds)
			c.recordUnsent()
			return nil
		}
		c.recordLost(err)
		if err := c.reconnect(); err != nil {
			return err
		}
	}
}

// compose fills the generator's buffer with the next pipeline. It returns false
// when there is nothing more to send.
func (c *client) compose() bool {
	c.inflight, c.done = c.inflight[:0], 0
	c.gen.buf = c.gen.buf[:0]
	seconds := c.seconds
	c.seconds, c.spare = c.spare[:0], seconds
	for _, o := range seconds {
		c.inflight = append(c.inflight, c.gen.second(o))
	}
	if c.ph.interval > 0 {
		return c.composeDue()
	}
	want := uint64(max(0, c.ph.pipeline-len(c.inflight)))
	first, n := c.ph.take(want)
	c.sent = c.ph.now()
	for i := range n {
		o := c.gen.next(first + i)
		o.start = c.sent
		c.inflight = append(c.inflight, o)
	}
	return len(c.inflight) > 0
}

// composeDue is the part of compose that follows the schedule: it takes what is
// due, and waits when nothing is. When the phase stops, a last pipeline of what
// was due before goes out; what does not fit it is recorded as late.
func (c *client) composeDue() bool {
	waited := false
	for {
		ended := c.ph.stopping()
		if ended && c.final {
			c.recordUnsent()
			return len(c.inflight) > 0 // second halves
		}
		c.final = ended
		c.sent = c.ph.now()
		more := c.takeDue(waited, ended)
		switch {
		case len(c.inflight) > 0:
			return true
		case ended || !more:
			return false
		}
		select {
		case <-c.wake:
			waited = true
		case <-c.ph.stop:
		}
	}
}

// takeDue takes what is due into the pipeline. It returns false when the
// schedule has no more for this client.
func (c *client) takeDue(waited, ended bool) bool {
	until := c.sent
	if ended {
		until = min(until, c.ph.endNS())
	}
	for len(c.inflight) < c.ph.pipeline {
		ticket, due, ok := c.ph.schedule(c.id, c.slot)
		if !ok {
			return false
		}
		if due > until {
			break
		}
		if waited {
			c.recordLag(c.sent - due)
		}
		o := c.gen.next(ticket)
		o.start = due
		c.inflight = append(c.inflight, o)
		c.slot++
	}
	return true
}

// exchange sends the pipeline and reads its replies.
func (c *client) exchange() error {
	var written chan error
	if len(c.gen.buf) < asyncWrite {
		if _, err := c.nc.Write(c.gen.buf); err != nil {
			return err
		}
	} else {
		written = make(chan error, 1)
		go func() {
			_, err := c.nc.Write(c.gen.buf)
			written <- err
		}()
	}
	err := c.readReplies()
	if written != nil {
		if err != nil {
			c.nc.Close() // ends the write
		}
		if werr := <-written; err == nil {
			err = werr
		}
	}
	return err
}

func (c *client) readReplies() error {
	for c.done < len(c.inflight) {
		n, err := c.nc.Read(c.rbuf)
		if n > 0 {
			if perr := c.consume(c.rbuf[:n]); perr != nil {
				return perr
			}
		}
		if err != nil && c.done < len(c.inflight) {
			return err
		}
	}
	return nil
}

// consume parses what has arrived, and records the operations that it answers.
func (c *client) consume(b []byte) error {
	now := c.ph.now()
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	run := runLength{t: c.rec.mu.t, service: max(1, (now-c.sent)/1000)}
	defer run.flush()
	for len(b) > 0 {
		n, complete, err := c.parser.feed(b)
		if err != nil {
			return err
		}
		b = b[n:]
		if !complete {
			return nil
		}
		if c.done == len(c.inflight) {
			return fmt.Errorf("%w: a reply that nothing asked for", errProtocol)
		}
		o := c.inflight[c.done]
		c.done++
		c.answered(o, now, &run)
	}
	return nil
}

// answered records the reply to o, which the parser holds.
func (c *client) answered(o op, now int64, run *runLength) {
	t := run.t
	if c.parser.failed {
		t.errors++
		t.addError(string(c.parser.first), 1)
		if o.code == opScan {
			c.gen.cursor = append(c.gen.cursor[:0], '0')
		}
		return
	}
	t.lookups += uint64(o.lookups)
	if o.lookups > 0 {
		t.misses += uint64(c.parser.nulls)
	}
	switch o.code {
	case opScan:
		c.gen.cursor = append(c.gen.cursor[:0], c.parser.first...)
	case opRMW:
		c.seconds = append(c.seconds, o) // half done
		return
	}
	t.ops[o.part]++
	run.add(o.part, max(1, (now-o.start)/1000))
}

// runLength records latencies of neighbours that are alike, as those of a
// pipeline usually are, in one go.
type runLength struct {
	t       *tally
	service int64 // us; the same for all of a pipeline that one read answers
	part    uint8
	us, n   int64
}

func (r *runLength) add(part uint8, us int64) {
	if r.n > 0 && (r.part != part || r.us != us) {
		r.flush()
	}
	r.part, r.us = part, us
	r.n++
}

func (r *runLength) flush() {
	if r.n == 0 {
		return
	}
	record(r.t.latency[r.part], r.us, r.n)
	if r.t.service != nil {
		record(r.t.service[r.part], r.service, r.n)
	}
	r.n = 0
}

func (c *client) recordLag(ns int64) {
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	record(c.rec.mu.t.lag, ns/1000, 1)
}

// recordLate records operations that the phase ended before the end of, with
// the time that they had waited.
func (c *client) recordLate(ops []op) {
	now := c.ph.now()
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	t := c.rec.mu.t
	for _, o := range ops {
		t.late++
		record(t.latency[o.part], (now-o.start)/1000, 1)
	}
}

// recordUnsent records the operations that were due before the phase ended and
// were not sent, because this connection waited for replies.
func (c *client) recordUnsent() {
	end := c.ph.endNS()
	for c.ph.interval > 0 {
		ticket, due, ok := c.ph.schedule(c.id, c.slot)
		if !ok || due >= end {
			return
		}
		c.gen.buf = c.gen.buf[:0]
		o := c.gen.next(ticket) // what it would have been
		o.start = due
		c.recordLate([]op{o})
		c.slot++
	}
}

// recordLost counts what was in flight when the connection broke.
func (c *client) recordLost(err error) {
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	t := c.rec.mu.t
	n := uint64(len(c.inflight) - c.done + len(c.seconds))
	t.lost += n
	t.addError("connection: "+rootCause(err), n)
}

// reconnect replaces a broken connection, until the phase ends.
func (c *client) reconnect() error {
	c.nc.Close()
	c.parser = replyParser{keep: c.parser.keep}
	c.seconds = c.seconds[:0]
	giveUp := time.Now().Add(c.ph.giveUp)
	for !c.ph.stopping() {
		nc, err := dial(c.ph.ctx, c.ph.target, c.ph.cfg.db)
		if err == nil {
			c.nc = nc
			c.ph.adopt(c.id, nc)
			return nil
		}
		if time.Now().After(giveUp) {
			return err
		}
		select {
		case <-time.After(reconnectWait):
		case <-c.ph.stop:
		}
	}
	return nil
}

// rootCause is an error's text without the addresses, which differ from
// connection to connection.
func rootCause(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}
