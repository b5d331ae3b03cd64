package server

import (
	"bytes"
	"testing"

	"dkv/server/command"
)

// collecting returns a connection that has collected calls of one shard.
func collecting(s *Server, commands ...string) *Conn {
	c := &Conn{srv: s}
	r := newRequest(0)
	r.srv, r.slots, r.calls = s, s.slots(), callsOf(commands...)
	c.ws = &workspace{conn: c}
	c.ws.requests = []*shardRequest{r}
	c.ws.active = c.ws.requests
	return c
}

// Keys of several connections are looked up together, and once.
func TestWarmTogether(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	c.roundTrip("HSET h f v\r\nSET there 1\r\n", ":1\r\n+OK\r\n")
	counts := func() (hits, misses uint64) {
		m := s.node.Metrics().Hot
		return m.Hits, m.Misses
	}
	list := []*Conn{
		collecting(s, "mset a 1 b 2", "incr there"),
		collecting(s, "get k"), // writes nothing
		collecting(s, "set c 1", "hset h f w", "incr d"),
	}
	hits, misses := counts()
	var w warmer
	w.warmTogether(s, list)
	h, m := counts()
	if h -= hits; h < 2 {
		t.Errorf("%d were known", h)
	}
	if m -= misses; m != 4 {
		t.Errorf("%d were not known", m)
	}
	hits, misses = counts()
	for _, c := range list {
		if !c.ws.requests[0].warmed {
			t.Error("a request is not warm")
		}
		c.ws.requests[0].warm()
	}
	if h, m = counts(); h != hits || m != misses {
		t.Errorf("%d and %d lookups of what was looked up", h-hits, m-misses)
	}
	list[0].ws.requests[0].warm() // its next part
	if h, m = counts(); h != hits+3 || m != misses {
		t.Errorf("%d and %d lookups of three keys", h-hits, m-misses)
	}
	if len(w.requests) != 0 || w.names.Len() != 0 {
		t.Errorf("%d requests and %d keys are left", len(w.requests), w.names.Len())
	}
}

// countedHost counts how often a connection has left it.
type countedHost int

func (h *countedHost) goOn() { *h++ }

// A fast command that looks many keys up has the loop led on, and one of ten counts as ten.
func TestManyLookups(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   int // after the name
		want   int
		leaves bool
	}{
		{"get", 1, 1, false},
		{"mget", 10, 10, false},
		{"mget", maxLookups, maxLookups, false},
		{"mget", maxLookups + 1, maxLookups + 1, true},
		{"exists", maxLookups + 1, maxLookups + 1, true},
		{"hmget", maxLookups + 1, maxLookups + 1, true},
		{"lrange", 3, 1, false}, // counts by itself
		{"sinter", 2, 1, true},
		{"ping", 0, 1, false},
	} {
		spec := command.Lookup([]byte(tt.name))
		args := append([][]byte{[]byte(tt.name)}, bytes.Fields(bytes.Repeat([]byte("k "), tt.args))...)
		if n := lookups(spec, args); n != tt.want {
			t.Errorf("%s of %d looks up %d", tt.name, tt.args, n)
		}
		var h countedHost
		c := &Conn{host: &h}
		if c.leaveFor(spec, args); h != 0 != tt.leaves {
			t.Errorf("%s of %d has left %d times", tt.name, tt.args, h)
		}
	}
}
