package server

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller tells which sockets have something to read, by epoll. A socket is
// reported when something arrives, once: whoever is told reads all there is.
//
// The epoll instance is itself watched by Go's own poller. So a goroutine that
// waits for sockets parks like any other and holds no thread, and one wake-up
// serves all sockets that became ready together.
type poller struct {
	f      *os.File // the epoll instance
	raw    syscall.RawConn
	fd     int
	closed atomic.Bool
	events [pollEvents]unix.EpollEvent
	n      int
	err    error
	block  bool
	try    func(fd uintptr) bool // tryWait
}

// pollEvents is how many sockets are taken at once.
const pollEvents = 128

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("server: epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that os takes it for one that can be waited for
		return nil, fmt.Errorf("server: epoll: %w", errors.Join(err, unix.Close(fd)))
	}
	p := &poller{f: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	p.try = p.tryWait
	if p.raw, err = p.f.SyscallConn(); err != nil {
		return nil, fmt.Errorf("server: epoll: %w", errors.Join(err, p.f.Close()))
	}
	return p, nil
}

// add watches a socket until it is closed.
func (p *poller) add(fd int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("server: epoll: %w", err)
	}
	return nil
}

// wait returns the sockets for which there is news. With block it waits until
// there is one. It returns os.ErrClosed (wrapped) after close.
func (p *poller) wait(block bool) ([]unix.EpollEvent, error) {
	p.block = block
	if err := p.raw.Read(p.try); err != nil {
		if p.closed.Load() {
			err = os.ErrClosed // raw has an unnamed error for it
		}
		return nil, fmt.Errorf("server: epoll: %w", err)
	}
	if p.err != nil {
		return nil, fmt.Errorf("server: epoll: %w", p.err)
	}
	return p.events[:p.n], nil
}

// tryWait looks once; false: there is nothing, wait until there may be.
func (p *poller) tryWait(uintptr) bool {
	for {
		p.n, p.err = unix.EpollWait(p.fd, p.events[:], 0)
		if !errors.Is(p.err, unix.EINTR) {
			return p.n > 0 || p.err != nil || !p.block
		}
	}
}

// close ends wait.
func (p *poller) close() error {
	p.closed.Store(true)
	return p.f.Close()
}
