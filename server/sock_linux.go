package server

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// sock is the socket of a connection that a loop runs.
type sock struct {
	loop *loop
	fd   int

	state atomic.Int32
	// hangup: the client has closed its side, or the connection is broken.
	hangup atomic.Bool
	// more: the last read filled the buffer, or the client has closed: reading
	// again will say. Belongs to who runs the connection.
	more bool
	// room tells the goroutine that empties the outbox that the socket takes bytes
	// again.
	room chan struct{}

	mu struct {
		sync.RWMutex // held shared while others than its connection use fd
		closed       bool
	}
}

// States of a sock. Only who has made it busy runs the connection.
const (
	sockIdle int32 = iota
	sockBusy
	sockNews // busy, and something has arrived since
)

// errNothing says that there is nothing to read.
var errNothing = errors.New("server: nothing to read")

// dupSocket returns another descriptor of nc's socket, which Go's poller does not
// watch.
func dupSocket(nc net.Conn) (int, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1, errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var dupErr error
	if err := raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	if dupErr != nil {
		return -1, dupErr
	}
	return fd, nil
}

// news notes that something has arrived. true: nobody runs the connection, and
// the caller does from here on.
func (s *sock) news() bool {
	for {
		switch st := s.state.Load(); st {
		case sockIdle:
			if s.state.CompareAndSwap(sockIdle, sockBusy) {
				return true
			}
		case sockBusy:
			if s.state.CompareAndSwap(sockBusy, sockNews) {
				return false
			}
		default:
			return false
		}
	}
}

// rest ends a run of the connection. false: something has arrived meanwhile, and
// the run goes on.
func (s *sock) rest() bool {
	if s.state.CompareAndSwap(sockBusy, sockIdle) {
		return true
	}
	s.state.Store(sockBusy)
	s.more = true
	return false
}

// hungUp says whether the client has closed its side, or the connection is broken.
func (s *sock) hungUp() bool { return s.hangup.Load() }

// read reads once. errNothing: there is nothing.
func (s *sock) read(space []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, space)
		switch {
		case n > 0:
			s.more = n == len(space) || s.hangup.Load()
			return n, nil
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			s.more = false
			return 0, errNothing
		case err == nil:
			err = io.EOF
		}
		return 0, err
	}
}

// tryWrite writes what the socket takes at once.
func (s *sock) tryWrite(b []byte) (n int, err error) {
	for n < len(b) {
		m, err := unix.Write(s.fd, b[n:])
		if m > 0 {
			n += m
		}
		switch err {
		case nil, unix.EINTR:
		case unix.EAGAIN:
			return n, nil
		default:
			return n, err
		}
	}
	return n, nil
}

// write writes all of b, from another goroutine than the connection's.
func (s *sock) write(b []byte, cut <-chan struct{}) (n int, err error) {
	for {
		s.mu.RLock()
		if s.mu.closed {
			s.mu.RUnlock()
			return n, net.ErrClosed
		}
		m, err := s.tryWrite(b[n:])
		s.mu.RUnlock()
		if n += m; n == len(b) || err != nil {
			return n, err
		}
		select {
		case <-s.room:
		case <-cut:
			return n, net.ErrClosed
		}
	}
}

// shut ends the connection. Who runs it notices, or the loop is told.
func (s *sock) shut() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.mu.closed {
		s.hangup.Store(true)
		_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // fails when the client was faster
	}
}

// stream returns the socket as a connection that waits for bytes and for room by
// itself: for one that leaves its loop for good. The caller closes it.
func (s *sock) stream() (net.Conn, error) {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "client")
	nc, err := net.FileConn(f) // another descriptor again
	return nc, errors.Join(err, f.Close())
}

// close gives the descriptor back.
func (s *sock) close() {
	s.loop.forget(s.fd)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = true
	_ = unix.Close(s.fd) // what fails now has been written or lost
}
