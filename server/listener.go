package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"dkv/resp"
)

// Accepting is retried after these pauses when the system refuses: out of file
// descriptors, mostly.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// refuseTimeout bounds writing the reason to a client that is refused.
const refuseTimeout = time.Second

// Listen binds the addresses that the configuration names. On an error nothing
// stays bound.
func (s *Server) Listen() error {
	listeners, err := s.listenOn(s.config.ListenAddrs(), s.config.ListenTLSAddrs())
	fail := func(err error) error {
		for _, l := range listeners {
			l.Close()
		}
		return err
	}
	if err != nil {
		return fail(err)
	}
	if path := s.config.String("unixsocket"); path != "" {
		l, err := s.listenUnix(path)
		if err != nil {
			return fail(fmt.Errorf("server: listen on %s: %w", path, err))
		}
		listeners = append(listeners, l)
	}
	if len(listeners) == 0 {
		return errors.New("server: configured to not listen anywhere: bind and unixsocket are empty")
	}
	s.mu.Lock()
	s.mu.listeners = append(s.mu.listeners, listeners...)
	s.mu.listening = true
	s.mu.Unlock()
	for _, l := range listeners {
		s.log.Info("listening", "addr", l.Addr().String())
	}
	return nil
}

// listenOn binds addresses for plain connections, and for those by TLS. What it returns is
// bound, also with an error.
func (s *Server) listenOn(plain, encrypted []ListenAddr) ([]net.Listener, error) {
	// Keep-alive is set on each connection, from the parameter.
	lc := &net.ListenConfig{KeepAlive: -1}
	listeners, err := s.listenAll(lc, plain)
	if err != nil {
		return listeners, err
	}
	byTLS, err := s.listenTLS(lc, encrypted)
	return append(listeners, byTLS...), err
}

// listenAll binds addresses. What it returns is bound, also with an error.
func (s *Server) listenAll(lc *net.ListenConfig, addrs []ListenAddr) (listeners []net.Listener, err error) {
	for _, a := range addrs {
		l, err := lc.Listen(context.Background(), a.Network, a.Addr)
		if err != nil && a.Optional && missingAddress(err) {
			s.log.Warn("address skipped", "addr", a.Addr, "err", err)
			continue
		}
		if err != nil {
			return listeners, fmt.Errorf("server: listen on %s: %w", a.Addr, err)
		}
		listeners = append(listeners, boundListener{l, a})
	}
	return listeners, nil
}

func missingAddress(err error) bool {
	for _, e := range []error{syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// listenUnix takes the place of a socket that an earlier process left.
func (s *Server) listenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	perm, err := strconv.ParseUint(s.config.String("unixsocketperm"), 8, 32)
	if err == nil && perm != 0 {
		err = os.Chmod(path, fs.FileMode(perm))
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Addr returns the first address that is listened on; nil before Listen.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.listeners) == 0 {
		return nil
	}
	return s.mu.listeners[0].Addr()
}

func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.mu.listeners {
		l.Close()
	}
}

// accept takes clients from l until l is closed.
func (s *Server) accept(l net.Listener) {
	pause := minAcceptPause
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn("cannot accept a connection", "err", err)
			select {
			case <-time.After(pause):
			case <-s.done:
				return
			}
			pause = min(2*pause, maxAcceptPause)
			continue
		}
		pause = minAcceptPause
		s.admit(nc)
	}
}

// admit starts serving a connection, or refuses it.
func (s *Server) admit(nc net.Conn) {
	s.stats.ConnectionsReceived.Add(1)
	c := newConn(s, nc)
	s.takeSock(c)
	var refusal resp.Error
	switch {
	case s.closing.Load():
		nc.Close()
		if c.sock != nil {
			c.sock.close()
		}
		return
	case !s.clients.add(c, s.config.MaxClients.Load()):
		refusal = resp.ErrMaxClients
	case s.protected() && !isLocal(nc.RemoteAddr()):
		s.clients.remove(c)
		refusal = resp.ErrProtected
	}
	if refusal != "" {
		s.stats.ConnectionsRejected.Add(1)
		if c.sock != nil {
			c.sock.close()
		}
		s.running.Go(func() { refuse(nc, refusal) })
		return
	}
	if err := keepAlive(c.nc, s.config.TCPKeepalive.Load()); err != nil {
		s.log.Debug("cannot set keep-alive", "addr", c.addr, "err", err)
	}
	if c.sock != nil {
		c.watch()
	} else {
		s.running.Go(c.serve)
	}
	if s.closing.Load() {
		c.wake() // Close may have passed over it
	}
}

// refuse is done aside, so that a client that does not read holds up nobody.
func refuse(nc net.Conn, reason resp.Error) {
	var w resp.Writer
	w.Error(string(reason))
	if nc.SetDeadline(time.Now().Add(refuseTimeout)) == nil { // a TLS handshake reads, too
		_, _ = nc.Write(w.Buf) // it is closed either way
	}
	nc.Close()
}

// protected says whether only local clients are welcome.
func (s *Server) protected() bool {
	return s.config.ProtectedMode.Load() && s.users.def.user.Load().NoPass()
}

func isLocal(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// keepAlive sets up the probes of an idle TCP connection as Redis does: after
// seconds of silence, then every third of it, three times.
func keepAlive(nc net.Conn, seconds int64) error {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	if seconds <= 0 {
		return tcp.SetKeepAlive(false)
	}
	idle := time.Duration(seconds) * time.Second
	return tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: idle, Interval: max(idle/3, time.Second), Count: 3,
	})
}
