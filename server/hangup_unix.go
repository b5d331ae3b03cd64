//go:build unix

package server

import (
	"syscall"
	"time"
)

// watchHangup has a wait end when the client closes its side. What an event loop
// watches needs no more for it: see loop.look. Otherwise a goroutine waits for
// something to read, which ends at bytes that a client has sent ahead: what
// comes behind them is not seen before they are read.
func (c *Conn) watchHangup(b *blocking) (stop func()) {
	if c.sock != nil || c.raw == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		gone := false
		_ = c.raw.Read(func(fd uintptr) bool { // it fails when stop is called
			var one [1]byte
			for {
				n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
				switch {
				case n > 0:
					return true
				case err == syscall.EINTR:
					continue
				case err == syscall.EAGAIN:
					return false
				}
				gone = true
				return true
			}
		})
		if gone {
			b.end(waitGone)
		}
	}()
	return func() {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // these fail when the connection is closed,
		<-done
		_ = c.nc.SetReadDeadline(time.Time{}) // and then nothing waits
	}
}
