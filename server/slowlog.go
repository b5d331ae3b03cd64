package server

import (
	"fmt"
	"sync"
	"time"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// What SLOWLOG keeps of a command, as in Redis: so many arguments, so many
// bytes of each.
const (
	slowlogMaxArgs = 32
	slowlogMaxArg  = 128
)

func init() {
	bind("slowlog|get", slowlogGet)
	bind("slowlog|len", slowlogLen)
	bind("slowlog|reset", slowlogReset)
	bind("slowlog|help", help("SLOWLOG",
		"GET [<count>]",
		"    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
		"    Entries are made of:",
		"    id, timestamp, time in microseconds, arguments array, client IP and port,",
		"    client name",
		"LEN",
		"    Return the length of the slowlog.",
		"RESET",
		"    Reset the slowlog."))
}

// slowlog keeps the last commands that took longer than
// slowlog-log-slower-than, at most slowlog-max-len of them.
type slowlog struct {
	config *Config
	clock  func() time.Time

	mu struct {
		sync.Mutex
		nextID  int64
		entries []slowEntry // oldest first
	}
}

type slowEntry struct {
	id       int64
	unixSec  int64
	duration time.Duration
	args     []string
	addr     string
	name     string
}

func newSlowlog(c *Config, clock func() time.Time) *slowlog {
	return &slowlog{config: c, clock: clock}
}

// slow reports whether a command that took d belongs in the log.
func (s *slowlog) slow(d time.Duration) bool {
	limit := s.config.SlowlogLogSlowerThan.Load()
	return limit >= 0 && d.Microseconds() >= limit
}

// add records a command of a client. args are copied.
func (s *slowlog) add(addr, name string, args [][]byte, d time.Duration) {
	e := slowEntry{
		unixSec:  s.clock().Unix(),
		duration: d,
		args:     slowArgs(redacted(args)),
		addr:     addr,
		name:     name,
	}
	limit := int(min(s.config.SlowlogMaxLen.Load(), 1<<30))
	s.mu.Lock()
	defer s.mu.Unlock()
	e.id = s.mu.nextID
	s.mu.nextID++
	s.mu.entries = append(s.mu.entries, e)
	if extra := len(s.mu.entries) - limit; extra > 0 {
		clear(s.mu.entries[:extra])
		s.mu.entries = s.mu.entries[extra:]
	}
}

// slowArgs copies arguments, cut to what the log keeps.
func slowArgs(args [][]byte) []string {
	n := min(len(args), slowlogMaxArgs)
	out := make([]string, n)
	for i := range out {
		switch a := args[i]; {
		case i == slowlogMaxArgs-1 && len(args) > slowlogMaxArgs:
			out[i] = fmt.Sprintf("... (%d more arguments)", len(args)-slowlogMaxArgs+1)
		case len(a) > slowlogMaxArg:
			out[i] = fmt.Sprintf("%s... (%d more bytes)", a[:slowlogMaxArg], len(a)-slowlogMaxArg)
		default:
			out[i] = string(a)
		}
	}
	return out
}

// newest returns up to n entries, newest first; all when n is -1.
func (s *slowlog) newest(n int64) []slowEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 || n > int64(len(s.mu.entries)) {
		n = int64(len(s.mu.entries))
	}
	out := make([]slowEntry, n)
	for i := range out {
		out[i] = s.mu.entries[len(s.mu.entries)-1-i]
	}
	return out
}

func (s *slowlog) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.entries)
}

func (s *slowlog) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.entries = nil
}

const errSlowlogCount resp.Error = "ERR count should be greater than or equal to -1"

func slowlogGet(c *Conn, x *command.Ctx) error {
	count := int64(10)
	switch {
	case len(x.Args) > 3:
		return resp.ErrSubcommandSyntax(x.Args[1], "slowlog")
	case len(x.Args) == 3:
		n, ok := keyspace.ParseInt(x.Args[2])
		if !ok || n < -1 {
			return errSlowlogCount
		}
		count = n
	}
	entries := c.srv.slowlog.newest(count)
	x.Out.Array(len(entries))
	for _, e := range entries {
		x.Out.Array(6)
		x.Out.Int(e.id)
		x.Out.Int(e.unixSec)
		x.Out.Int(e.duration.Microseconds())
		x.Out.Array(len(e.args))
		for _, a := range e.args {
			x.Out.BulkString(a)
		}
		x.Out.BulkString(e.addr)
		x.Out.BulkString(e.name)
	}
	return nil
}

func slowlogLen(c *Conn, x *command.Ctx) error {
	x.Out.Int(int64(c.srv.slowlog.len()))
	return nil
}

func slowlogReset(c *Conn, x *command.Ctx) error {
	c.srv.slowlog.reset()
	x.Out.OK()
	return nil
}
