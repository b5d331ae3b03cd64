package replica

import (
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// TestTrackingOnReplicas: clients of a replica, and of a replica's replica, are told of
// what the master's clients change, of what expires there, and to forget all when a copy
// has come.
func TestTrackingOnReplicas(t *testing.T) {
	source := harness.Dkv(t)
	first := replicaOf(t, source)
	second := replicaOf(t, first)
	awaitUp(t, first)
	awaitUp(t, second)
	s := source.Dial(t)
	for i := range 300 {
		s.Do("HSET", "large", "f"+string(rune('0'+i%10)), "v", "g"+strings.Repeat("x", i), "v")
	}
	s.OK("SET", "k", "1")
	s.OK("SET", "short", "1")
	awaitSame(t, source, first, second)
	var clients []*harness.TestConn
	for _, r := range []*harness.Server{first, second} {
		c := r.Dial(t)
		c.Do("HELLO", "3")
		c.OK("CLIENT", "TRACKING", "ON")
		c.Want("$1\r\n1\r\n", "GET", "k")
		c.Want("$1\r\n1\r\n", "GET", "short")
		c.Want("$1\r\nv\r\n", "HGET", "large", "f1")
		clients = append(clients, c)
	}
	told := func(want string) {
		t.Helper()
		for i, c := range clients {
			c.SetDeadline(time.Now().Add(patience))
			r, err := c.Read()
			if err != nil || r.Kind != '>' || len(r.Elems) != 2 {
				t.Fatalf("replica %d: %s, %v", i, r, err)
			}
			got := "all"
			if len(r.Elems[1].Elems) == 1 {
				got = string(r.Elems[1].Elems[0].Str)
			}
			if got != want {
				t.Fatalf("replica %d is told of %s, want %s", i, got, want)
			}
		}
	}
	s.OK("SET", "k", "2")
	told("k")
	s.Want(":0\r\n", "HSET", "large", "f1", "w") // the record of the key stays as it is
	told("large")
	s.Want(":1\r\n", "PEXPIRE", "short", "20")
	told("short")
	for _, c := range clients {
		c.Do("EXISTS", "short")
	}
	harness.Until(t, patience, "the key to expire", func() bool { return s.DoInt("EXISTS", "short") == 0 })
	s.OK("FLUSHALL")
	// Some are told of the expired key first, unless they had looked when it was gone.
	for i, c := range clients {
		for all := false; !all; {
			c.SetDeadline(time.Now().Add(patience))
			r, err := c.Read()
			if err != nil || r.Kind != '>' {
				t.Fatalf("replica %d: %s, %v", i, r, err)
			}
			all = r.Elems[1].Null
		}
	}

	// A copy: the second replica follows another master.
	stranger := harness.Dkv(t)
	stranger.Dial(t).OK("SET", "k", "other")
	c := clients[1]
	c.Do("GET", "k")
	host, port := cut(stranger.Addr(), ":")
	second.Dial(t).OK("REPLICAOF", host, port)
	c.SetDeadline(time.Now().Add(patience))
	if r, err := c.Read(); err != nil || r.Kind != '>' || !r.Elems[1].Null {
		t.Fatalf("%s, %v: not told to forget everything", r, err)
	}
	awaitSame(t, stranger, second)
	c.Want("$5\r\nother\r\n", "GET", "k")
}
