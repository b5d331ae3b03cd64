package server

import (
	"errors"
	"net"
	"slices"
)

// What CONFIG SET replies when the addresses cannot be had, as Redis words it.
var (
	errPortTaken = errors.New("Unable to listen on this port. Check server logs.")
	errBadBind   = errors.New("Failed to bind to specified addresses.")
	// errKnownAddress: the members of a cluster tell each other, and clients, where they
	// are reached when they start.
	errKnownAddress = errors.New("the other nodes of the cluster know this one by its address: set it in the configuration file and restart the node")
)

// followAddresses has CONFIG SET of port and bind take effect.
func (s *Server) followAddresses() {
	s.config.OnApply("port", func(string) error { return s.relisten(errPortTaken) })
	s.config.OnApply("bind", func(string) error { return s.relisten(errBadBind) })
}

// boundListener is a listener and the address that it was asked for.
type boundListener struct {
	net.Listener
	at ListenAddr
}

// boundTo returns what a TCP listener was asked for; ok is false for a unix socket.
func boundTo(l net.Listener) (at ListenAddr, encrypted, ok bool) {
	if t, is := l.(tlsListener); is {
		l, encrypted = t.Listener, true
	}
	b, ok := l.(boundListener)
	return b.at, encrypted, ok
}

// relisten listens on the addresses that the configuration names now, and on no other.
// Those that stay are left alone; connections stay, too. After an error, which is
// logged and replied as refusal, it has to be called again with the addresses of before:
// the new ones may have been opened only because old ones were closed.
func (s *Server) relisten(refusal error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.listening || s.closing.Load() {
		return nil
	}
	plain, encrypted := s.config.ListenAddrs(), s.config.ListenTLSAddrs()
	left := s.mu.listeners[:0:0]
	var gone []net.Listener
	for _, l := range s.mu.listeners {
		at, isTLS, isTCP := boundTo(l)
		wanted := &plain
		if isTLS {
			wanted = &encrypted
		}
		i := slices.Index(*wanted, at)
		if !isTCP {
			left = append(left, l)
		} else if i >= 0 {
			left = append(left, l)
			*wanted = slices.Delete(*wanted, i, i+1)
		} else {
			gone = append(gone, l)
		}
	}
	if len(gone)+len(plain)+len(encrypted) > 0 && s.config.clustered() {
		return errKnownAddress
	}
	for _, l := range gone {
		l.Close()
		s.log.Info("no longer listening", "addr", l.Addr().String())
	}
	s.mu.listeners = left
	opened, err := s.listenOn(plain, encrypted)
	if err != nil {
		for _, l := range opened {
			l.Close()
		}
		s.log.Warn("cannot listen", "err", err)
		return refusal
	}
	s.mu.listeners = append(s.mu.listeners, opened...)
	for _, l := range opened {
		s.log.Info("listening", "addr", l.Addr().String())
		if s.mu.serving {
			s.running.Go(func() { s.accept(l) })
		}
	}
	return nil
}
