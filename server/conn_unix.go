//go:build unix

package server

import (
	"io"
	"syscall"
)

// writeAttempt is the state of a write that does not wait.
type writeAttempt struct {
	f   func(fd uintptr) bool
	buf []byte
	n   int
	err error
}

// initRaw prepares reading and writing by system calls of our own: a net.Conn
// needs a buffer before it waits for bytes, so that ten thousand idle
// connections would hold ten thousand buffers; and it cannot write only what
// the socket takes at once.
func (c *Conn) initRaw() {
	sc, ok := c.nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	c.raw = raw
	c.tryFD = c.tryRead
	c.attempt.f = c.tryWriteFD
	_ = raw.Control(func(fd uintptr) { c.fd = int(fd) })
}

// read waits for bytes and reads once.
func (c *Conn) read() (int, error) {
	if c.sock != nil {
		return c.readSock()
	}
	if c.raw == nil {
		return c.readPlain()
	}
	if err := c.raw.Read(c.tryFD); err != nil {
		return 0, err
	}
	return c.readN, c.readE
}

func (c *Conn) readSock() (int, error) {
	space, err := c.reader.Space()
	if err != nil {
		return 0, err
	}
	n, err := c.sock.read(space)
	if err == nil {
		c.reader.Advance(n)
	}
	return n, err
}

// tryRead reads what is there; it returns false to be called again when there
// is something.
func (c *Conn) tryRead(fd uintptr) bool {
	space, err := c.reader.Space()
	if err != nil {
		c.readN, c.readE = 0, err
		return true
	}
	for {
		n, err := syscall.Read(int(fd), space)
		switch {
		case n > 0:
			c.reader.Advance(n)
			c.readN, c.readE = n, nil
			return true
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			c.reader.Release()
			return false
		case err == nil:
			err = io.EOF
		}
		c.readN, c.readE = 0, err
		return true
	}
}

// tryWrite writes as much of b as the socket takes without waiting.
func (c *Conn) tryWrite(b []byte) (int, error) {
	if c.sock != nil {
		n, err := c.sock.tryWrite(b)
		c.srv.stats.NetOutput.Add(uint64(n))
		return n, err
	}
	if c.raw == nil {
		return c.writePlain(b)
	}
	w := &c.attempt
	w.buf, w.n, w.err = b, 0, nil
	err := c.raw.Write(w.f)
	w.buf = nil
	c.srv.stats.NetOutput.Add(uint64(w.n))
	if err == nil {
		err = w.err
	}
	return w.n, err
}

func (c *Conn) tryWriteFD(fd uintptr) bool {
	w := &c.attempt
	for w.n < len(w.buf) {
		n, err := syscall.Write(int(fd), w.buf[w.n:])
		if n > 0 {
			w.n += n
		}
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			w.err = err
			return true
		}
	}
	return true
}
