package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The point of -rate: when a server stalls, the operations that the schedule
// had for that time show it, though they were sent only afterwards.
func TestStallShows(t *testing.T) {
	const stall = 400 * time.Millisecond
	var calls atomic.Int64
	addr := fakeServer(t, func([]string) string {
		if calls.Add(1) == 300 {
			time.Sleep(stall) // the stall itself
		}
		return "+OK\r\n"
	})
	// One connection, 1000 operations, one a millisecond.
	args := []string{"set", "-a", addr, "-c", "1", "-n", "1000", "-rate", "1000"}
	c := mustConfig(t, args...)
	ph := newPhase(t.Context(), c, c.target, newValues(100, 100, 0, 1))
	out, err := ph.run()
	if err != nil {
		t.Fatal(err)
	}
	above := func(service bool, limit time.Duration) (n int64) {
		h := out.total.latency[0]
		if service {
			h = out.total.service[0]
		}
		for _, bar := range h.Distribution() {
			if bar.From >= limit.Microseconds() {
				n += bar.Count
			}
		}
		return n
	}
	// Those due in the first half of the stall waited for more than half of it;
	// catching up takes time too, so there may be more.
	fromDue, fromSend := above(false, stall/2), above(true, stall/2)
	if fromDue < 190 {
		t.Errorf("%d operations took half of the stall from their due time, want 200 or more", fromDue)
	}
	// From the send it is the one that met the stall, unless this machine stalls too.
	if fromSend < 1 || fromSend > fromDue/10 {
		t.Errorf("%d operations took half of the stall from their send, want one", fromSend)
	}
	if p99 := out.total.latency[0].ValueAtQuantile(99); p99 < (stall * 3 / 4).Microseconds() {
		t.Errorf("p99 is %d us in spite of a stall of %v in a run of one second", p99, stall)
	}
	if out.total.allOps() != 1000 || out.total.late != 0 {
		t.Errorf("%d operations, %d late", out.total.allOps(), out.total.late)
	}
}

// A server that does not answer again: what it owes counts with what it waited.
func TestStallToTheEnd(t *testing.T) {
	var calls atomic.Int64
	release := make(chan struct{})
	addr := fakeServer(t, func([]string) string {
		if calls.Add(1) > 100 {
			<-release
		}
		return "+OK\r\n"
	})
	defer close(release)
	for _, rate := range []string{"1000", "0"} {
		calls.Store(0)
		ctx, cancel := context.WithCancel(t.Context())
		c := mustConfig(t, "set", "-a", addr, "-c", "1", "-duration", "1m", "-rate", rate)
		ph := newPhase(ctx, c, c.target, newValues(1, 1, 0, 1))
		go func() {
			for calls.Load() < 101 {
				time.Sleep(time.Millisecond) // poll interval of a wait on a condition
			}
			time.Sleep(200 * time.Millisecond) // what is due in this time must show
			cancel()                           // as Ctrl-C does
		}()
		out, err := ph.run()
		if err != nil {
			t.Fatal(err)
		}
		total := out.total
		if !out.interrupted || total.allOps() != 100 {
			t.Errorf("rate %s: interrupted %v, %d operations", rate, out.interrupted, total.allOps())
		}
		if want := uint64(1); rate == "0" && total.late != want {
			t.Errorf("rate 0: %d late, want the one in flight", total.late)
		}
		if rate != "0" && (total.late < 50 || uint64(total.latency[0].TotalCount()) != 100+total.late) {
			t.Errorf("rate %s: %d late, %d latencies", rate, total.late, total.latency[0].TotalCount())
		}
	}
}

// Without a stall the schedule is kept, and an end by time is a clean one.
func TestScheduleIsKept(t *testing.T) {
	addr := fakeServer(t, func([]string) string { return "$-1\r\n" })
	r := measure(t, "get", "-a", addr, "-c", "4", "-rate", "2000", "-duration", "500ms")
	if r.Ops+r.Late != 1000 || r.Misses != r.Ops || r.Elapsed < 0.5 {
		t.Errorf("%d operations and %d late of 1000, %d misses, %.3f s", r.Ops, r.Late, r.Misses, r.Elapsed)
	}
	if r.Lag == nil || r.Parts[0].Service == nil {
		t.Error("no service time or generator lag")
	}
}

func TestCountIsExact(t *testing.T) {
	var calls atomic.Int64
	addr := fakeServer(t, func([]string) string { calls.Add(1); return "+OK\r\n" })
	for _, args := range []string{"-n 1001 -c 3 -P 7", "-n 10 -c 20", "-n 100 -c 3 -P 200", "-n 101 -rate 100000 -c 7 -P 3"} {
		calls.Store(0)
		r := measure(t, append([]string{"set", "-a", addr}, strings.Fields(args)...)...)
		want := uint64(mustConfig(t, strings.Fields(args)...).count)
		if r.Ops != want || calls.Load() != int64(want)+1 { // and one INFO
			t.Errorf("%s: %d operations, %d requests", args, r.Ops, calls.Load())
		}
	}
}

// A loaded key space has every record once.
func TestLoad(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	addr := fakeServer(t, func(words []string) string {
		mu.Lock()
		defer mu.Unlock()
		if words[0] == "SET" {
			seen[words[1]]++
		}
		return "+OK\r\n"
	})
	r := measure(t, "get", "-a", addr, "-load", "-r", "5000", "-n", "10", "-c", "3")
	for key, n := range seen {
		if n != 1 {
			t.Fatalf("%s was written %d times", key, n)
		}
	}
	if len(seen) != 5000 || r.Ops != 10 {
		t.Errorf("%d records, %d operations", len(seen), r.Ops)
	}
}

// A read-modify-write is a GET and then a SET of the same key, and one
// operation.
func TestReadModifyWrite(t *testing.T) {
	var mu sync.Mutex
	var gets, sets, pairs int
	got := map[string]int{}
	addr := fakeServer(t, func(words []string) string {
		mu.Lock()
		defer mu.Unlock()
		switch words[0] {
		case "GET":
			gets++
			got[words[1]]++
		case "SET":
			sets++
			if got[words[1]] > 0 {
				got[words[1]]--
				pairs++
			}
		}
		return "+OK\r\n"
	})
	for _, args := range []string{"-c 1", "-c 2 -P 8", "-c 2 -rate 20000 -P 4"} {
		gets, sets, pairs = 0, 0, 0
		clear(got)
		r := measure(t, append([]string{"ycsb-f", "-a", addr, "-n", "2000", "-d", "10"}, strings.Fields(args)...)...)
		if r.Ops != 2000 || gets != 2000 || sets != int(r.Parts[1].Ops) || pairs != sets || sets < 800 {
			t.Errorf("%s: %d operations, %d GET, %d SET, %d of them after a GET", args, r.Ops, gets, sets, pairs)
		}
	}
}

// Broken connections are counted and replaced.
func TestReconnect(t *testing.T) {
	var calls atomic.Int64
	addr := fakeServer(t, func([]string) string {
		if calls.Add(1)%100 == 0 {
			return ""
		}
		return "+OK\r\n"
	})
	for _, rate := range []string{"0", "50000"} {
		r := measure(t, "set", "-a", addr, "-n", "2000", "-c", "2", "-P", "3", "-rate", rate)
		if r.Lost == 0 || r.Ops+r.Lost != 2000 || len(r.ErrorTexts) == 0 {
			t.Errorf("rate %s: %d operations, %d lost, %v", rate, r.Ops, r.Lost, r.ErrorTexts)
		}
	}
}

func TestServerGoesForGood(t *testing.T) {
	c := mustConfig(t, "set", "-a", onceThenRefuse(t, 3), "-c", "3")
	ph := newPhase(t.Context(), c, c.target, newValues(1, 1, 0, 1))
	ph.giveUp = 10 * time.Millisecond
	if _, err := ph.run(); !errors.Is(err, errConnect) {
		t.Errorf("got %v", err)
	}
}

// onceThenRefuse accepts n connections, and closes them and its listener.
func onceThenRefuse(t *testing.T, n int) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		var conns []net.Conn
		for range n {
			nc, err := ln.Accept()
			if err != nil {
				break
			}
			conns = append(conns, nc)
		}
		ln.Close()
		for _, nc := range conns {
			nc.Close()
		}
	}()
	return ln.Addr().String()
}

func TestErrorReplies(t *testing.T) {
	var calls atomic.Int64
	addr := fakeServer(t, func(words []string) string {
		switch n := calls.Add(1); {
		case n%10 == 0:
			return "-ERR every tenth\r\n"
		case n%10 == 5:
			return "-UNCERTAIN " + strings.Repeat("x", 300) + "\r\n"
		}
		return "+OK\r\n"
	})
	r := measure(t, "set", "-a", addr, "-n", "1000", "-c", "2")
	if r.Errors != 200 || r.Ops != 800 || r.ErrorTexts["ERR every tenth"] != 100 || len(r.ErrorTexts) != 2 || !r.failed() {
		t.Errorf("%d errors, %d operations, %v", r.Errors, r.Ops, r.ErrorTexts)
	}
	if int64(r.Ops) != r.Latency.Count {
		t.Errorf("%d latencies of %d operations: errors must not make a server look fast", r.Latency.Count, r.Ops)
	}
}

// A server that reads nothing while it cannot write must not lock both up.
func TestLargePipelines(t *testing.T) {
	value := "$1000000\r\n" + strings.Repeat("v", 1_000_000) + "\r\n"
	addr := fakeServer(t, func(words []string) string {
		if words[0] == "MGET" {
			return value
		}
		return "+OK\r\n"
	})
	r := measure(t, "mget", "-a", addr, "-n", "200", "-c", "1", "-P", "100", "-mget-keys", "1000")
	if r.Ops != 200 {
		t.Errorf("%d operations", r.Ops)
	}
	r = measure(t, "set", "-a", addr, "-n", "50", "-c", "2", "-P", "10", "-d", "100000-200000")
	if r.Ops != 50 {
		t.Errorf("%d operations", r.Ops)
	}
}

func TestTooManyErrorTexts(t *testing.T) {
	a, b := newTally(1, false), newTally(1, false)
	for i := range 100 {
		a.addError(strings.Repeat("x", i), 1)
	}
	b.addError("y", 5)
	a.merge(b)
	if len(a.texts) != maxErrorTexts+1 || a.texts[otherErrorText] != 100-maxErrorTexts+5 {
		t.Errorf("%d texts, %d others", len(a.texts), a.texts[otherErrorText])
	}
}

func TestInterruptedPause(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if pause(ctx, time.Hour) {
		t.Error("paused")
	}
}
