package server

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMaxClients(t *testing.T) {
	s := startServer(t, "maxclients", "2")
	a, b := dial(t, s), dial(t, s)
	a.do("ping")
	b.do("ping")
	c := dial(t, s)
	c.expect("-ERR max number of clients reached\r\n")
	c.expectEOF()
	if n := s.stats.ConnectionsRejected.Load(); n != 1 {
		t.Errorf("%d connections rejected", n)
	}
	a.Close()
	eventually(t, "room for a client", func() bool { return s.ClientCount() == 1 })
	dial(t, s).roundTrip("ping\r\n", "+PONG\r\n")
}

func TestIdleTimeout(t *testing.T) {
	s := startServer(t, "timeout", "1")
	idle, monitor := dial(t, s), dial(t, s)
	idle.do("ping")
	monitor.do("monitor")
	idle.expectEOF()
	eventually(t, "only the monitor is left", func() bool { return s.ClientCount() == 1 })
}

// TestProtectedMode connects from an address that is not the loopback's.
func TestProtectedMode(t *testing.T) {
	own := ownAddress(t)
	s := startServer(t, "bind", "*")
	_, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dialOwn := func() *client {
		nc, err := net.DialTimeout("tcp", net.JoinHostPort(own, port), ioTimeout)
		if err != nil {
			t.Skipf("cannot reach %s: %v", own, err)
		}
		t.Cleanup(func() { nc.Close() })
		_ = nc.SetDeadline(time.Now().Add(ioTimeout))
		c := dial(t, s)
		c.Conn = nc
		c.r.Reset(nc)
		return c
	}
	c := dialOwn()
	c.expect("-DENIED Redis is running in protected mode because")
	if err := s.config.Set("requirepass", "secret"); err != nil {
		t.Fatal(err)
	}
	dialOwn().roundTrip("ping\r\n", "-NOAUTH Authentication required.\r\n")
	if err := s.config.Set("requirepass", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.config.Set("protected-mode", "no"); err != nil {
		t.Fatal(err)
	}
	dialOwn().roundTrip("ping\r\n", "+PONG\r\n")
}

func ownAddress(t *testing.T) string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Skip(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("no address but the loopback's")
	return ""
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := startServer(t, "unixsocket", path, "unixsocketperm", "700")
	c := dial(t, s)
	c.roundTrip("ping\r\n", "+PONG\r\n")
	line := body(c.do("client", "info"))
	if !strings.Contains(line, " addr="+path+":0 laddr="+path+":0 ") || !strings.Contains(line, " flags=U ") {
		t.Errorf("bad line %q", line)
	}
}

func TestOutputLimit(t *testing.T) {
	s := startServer(t, "client-output-buffer-limit", "normal 100000 0 0")
	c := dial(t, s)
	value := strings.Repeat("v", 200000)
	c.roundTrip(request("set", "ol", value), "+OK\r\n")
	c.send("get ol\r\n")
	c.expectEOF()
	eventually(t, "it is counted", func() bool { return s.stats.OutputLimitKills.Load() == 1 })
}

// TestSoftOutputLimit lets output wait for longer than the limit allows.
func TestSoftOutputLimit(t *testing.T) {
	s := startServer(t, "client-output-buffer-limit", "normal 0 1000 1")
	c := dial(t, s)
	value := strings.Repeat("v", 1<<20)
	c.roundTrip(request("set", "sol", value), "+OK\r\n")
	c.send(strings.Repeat("get sol\r\n", 40))
	eventually(t, "the client is cut", func() bool { return s.stats.OutputLimitKills.Load() == 1 })
}

func TestQueryLimit(t *testing.T) {
	s := startServer(t, "client-query-buffer-limit", "1048576")
	c := dial(t, s)
	_, _ = c.Write([]byte("*2\r\n$4\r\nECHO\r\n$3000000\r\n" + strings.Repeat("x", 2000000)))
	c.expectEOF()
	if n := s.stats.QueryLimitKills.Load(); n != 1 {
		t.Errorf("%d connections were closed by the limit", n)
	}
}

func TestBulkLimit(t *testing.T) {
	s := startServer(t, "proto-max-bulk-len", "1048576")
	c := dial(t, s)
	c.roundTrip(request("set", "bl", strings.Repeat("x", 1<<20)), "+OK\r\n")
	c.send("*2\r\n$4\r\nECHO\r\n$1048577\r\n")
	c.expect("-ERR Protocol error: invalid bulk length\r\n")
	c.expectEOF()
}

func TestStats(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	c.roundTrip("set st 1\r\nget st\r\nget none\r\nget none\r\nincr st x\r\nfoo\r\nincr st\r\nappend st x\r\nincr st\r\n",
		"+OK\r\n$1\r\n1\r\n$-1\r\n$-1\r\n-ERR wrong number of arguments for 'incr' command\r\n-ERR unknown command 'foo', with args beginning with: \r\n:2\r\n:2\r\n-ERR value is not an integer or out of range\r\n")
	c.do("ping")
	st := s.Stats()
	check := func(what string, got, want uint64) {
		t.Helper()
		if got != want {
			t.Errorf("%s is %d, want %d", what, got, want)
		}
	}
	incr := st.Command(lookup("incr"))
	check("incr calls", incr.Calls.Load(), 2)
	check("incr failed", incr.Failed.Load(), 1)
	check("incr rejected", incr.Rejected.Load(), 1)
	check("incr latencies", incr.Latency().Count(), 2)
	check("get calls", st.Command(lookup("get")).Calls.Load(), 3)
	check("commands processed", st.CommandsProcessed.Load(), 8)
	check("hits", st.KeyspaceHits.Load(), 1)
	check("misses", st.KeyspaceMisses.Load(), 2)
	check("errors", st.ErrorReplies.Load(), 3)
	if e := st.Errors(); len(e) != 1 || e[0] != (ErrorCount{"ERR", 3}) {
		t.Errorf("errors by code: %v", e)
	}
	if st.NetInput.Load() == 0 || st.NetOutput.Load() == 0 {
		t.Error("no bytes were counted")
	}
	st.Reset()
	check("incr calls after reset", incr.Calls.Load(), 0)
}

func TestHistogram(t *testing.T) {
	for n := uint64(0); n < 1<<20; n = n*9/8 + 1 {
		b := bucketOf(n)
		if bound := bucketBound(b); n > bound || b > 0 && n <= bucketBound(b-1) || float64(bound) > float64(n)*1.13 {
			t.Fatalf("%d is in bucket %d, which ends at %d", n, b, bound)
		}
	}
	if b := bucketOf(1<<64 - 1); b != histogramBuckets-1 || bucketBound(b) != 1<<64-1 {
		t.Fatalf("the last bucket is %d, up to %d", b, bucketBound(b))
	}
	h := new(Histogram)
	for i := range uint64(1000) {
		h.add(bucketOf(i*1000), 1)
	}
	for _, p := range []float64{50, 99, 99.9} {
		want := p * 10 * 1000
		if got := float64(h.Percentile(p)); got < want*0.99 || got > want*1.15 {
			t.Errorf("p%v is %v, want about %v", p, got, want)
		}
	}
}
