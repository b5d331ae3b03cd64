//go:build !linux

package server

import (
	"errors"
	"net"
	"sync/atomic"
)

// Event loops are built on epoll. Elsewhere each connection has a goroutine.

type loop struct{ pace atomic.Int64 }

type sock struct{ loop *loop }

func (s *Server) startLoops(int) error { return nil }
func (s *Server) stopLoops()           {}
func (s *Server) takeSock(*Conn)       {}

func (s *sock) read([]byte) (int, error)                   { return 0, errors.ErrUnsupported }
func (s *sock) tryWrite([]byte) (int, error)               { return 0, errors.ErrUnsupported }
func (s *sock) write([]byte, <-chan struct{}) (int, error) { return 0, errors.ErrUnsupported }
func (s *sock) stream() (net.Conn, error)                  { return nil, errors.ErrUnsupported }
func (s *sock) hungUp() bool                               { return false }
func (s *sock) shut()                                      {}
func (s *sock) close()                                     {}
func (c *Conn) watch()                                     {}
func (c *Conn) wakeSock()                                  {}
