package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"dkv/resp"
)

const (
	// maxMigrateLinks bounds the connections that MIGRATE keeps for its next call.
	maxMigrateLinks = 64
	// migrateLinkIdle is how long one is kept, as in Redis.
	migrateLinkIdle = 10 * time.Second
	// migratePart is how many bytes are to be sent within the timeout.
	migratePart = 64 << 10
)

// migrateLinks are connections to servers that keys were sent to, kept for a while:
// keys are often moved in many small steps.
type migrateLinks struct {
	mu struct {
		sync.Mutex
		idle map[string]*migrateLink
	}
}

// migrateLink is a connection to a server that keys are sent to. It belongs to one
// MIGRATE at a time.
type migrateLink struct {
	name    string // whom it is to, as whom
	nc      net.Conn
	r       *bufio.Reader
	out     resp.Writer
	timeout time.Duration // of each step
	db      int           // that was selected there; -1: none
	kept    bool          // it was idle: the other side may have closed it
	expiry  *time.Timer   // closes it while it is idle
	unwatch func() bool   // ends the watch over the server's end
}

// take returns an idle connection, nil when there is none.
func (m *migrateLinks) take(name string) *migrateLink {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.mu.idle[name]
	if l == nil || !l.expiry.Stop() {
		return nil // or it is being closed
	}
	delete(m.mu.idle, name)
	l.kept = true
	return l
}

// keep keeps a connection for the next call; one a name, since calls rarely overlap.
func (m *migrateLinks) keep(l *migrateLink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.idle[l.name] != nil || len(m.mu.idle) >= maxMigrateLinks {
		l.close()
		return
	}
	if m.mu.idle == nil {
		m.mu.idle = make(map[string]*migrateLink)
	}
	m.mu.idle[l.name] = l
	l.expiry = time.AfterFunc(migrateLinkIdle, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.mu.idle[l.name] == l {
			delete(m.mu.idle, l.name)
		}
		l.close()
	})
}

// count is how many are idle.
func (m *migrateLinks) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mu.idle)
}

// dialMigrate connects to the server that a MIGRATE names.
func (s *Server) dialMigrate(m *migration) (*migrateLink, error) {
	ctx, cancel := context.WithTimeout(s.work, m.timeout)
	defer cancel()
	nc, err := s.config.SourceDialer()(ctx, m.addr)
	if err != nil {
		return nil, err
	}
	l := &migrateLink{name: m.linkName(), nc: nc, r: bufio.NewReader(nc), db: -1}
	l.unwatch = context.AfterFunc(s.work, func() { _ = nc.Close() }) // what waits for it is told by its read
	return l, nil
}

func (l *migrateLink) close() {
	l.unwatch()
	_ = l.nc.Close() // nothing is on its way
}

// request puts a request into the output.
func (l *migrateLink) request(args ...[]byte) {
	l.out.Array(len(args))
	for _, a := range args {
		l.out.Bulk(a)
	}
}

// flush sends the output, for which there is the timeout again after every part.
func (l *migrateLink) flush() error {
	for rest := l.out.Buf; len(rest) > 0; {
		part := rest[:min(len(rest), migratePart)]
		if err := l.nc.SetWriteDeadline(time.Now().Add(l.timeout)); err != nil {
			return fmt.Errorf("%w: %w", errMigrateWriting, err)
		}
		if _, err := l.nc.Write(part); err != nil {
			return fmt.Errorf("%w: %w", errMigrateWriting, err)
		}
		rest = rest[len(part):]
	}
	l.out.Reset()
	if cap(l.out.Buf) > maxKeptOutput {
		l.out.Buf = nil
	}
	return nil
}

// reply reads a reply, which is of one line: refusal is its text when it is an error.
func (l *migrateLink) reply() (refusal string, err error) {
	if err := l.nc.SetReadDeadline(time.Now().Add(l.timeout)); err != nil {
		return "", fmt.Errorf("%w: %w", errMigrateReading, err)
	}
	line, err := l.r.ReadSlice('\n')
	if err != nil { // also when it does not fit: no reply that is expected is so long
		return "", fmt.Errorf("%w: %w", errMigrateReading, err)
	}
	if line[0] == '-' {
		return string(bytes.TrimRight(line[1:], "\r\n")), nil
	}
	return "", nil
}

// linkName names the connections that serve a migration: where to and as whom, so that
// nobody speaks with the rights of another.
func (m *migration) linkName() string {
	name := strconv.Quote(m.addr)
	for _, a := range m.auth {
		name += strconv.Quote(string(a))
	}
	return name
}
