package server

import (
	"fmt"
	"strings"
	"testing"
)

// The digests are those that redis-server 7.0 gives for the same data.
func TestDebugDigestOfStreams(t *testing.T) {
	c := dial(t, startServer(t))
	c.do("XADD", "s", "1-1", "f", "v", "g", "w")
	c.do("XADD", "s", "2-0", "f", "x")
	c.do("XGROUP", "CREATE", "s", "g", "0")
	c.do("XADD", "t", "5-5", "a", "b")
	c.do("XDEL", "t", "5-5")
	want := "*2\r\n+db93315cb1d6732d82b94715c5a44f0cca6ad542\r\n+06bd01623de1d087bbd377851096317b1af476a2\r\n"
	if got := c.do("DEBUG", "DIGEST-VALUE", "s", "t"); got != want {
		t.Errorf("values: %q", got)
	}
	if got := c.do("DEBUG", "DIGEST"); !strings.HasPrefix(got, "+") {
		t.Errorf("digest: %q", got)
	}
	if got := c.do("DEBUG", "OBJECT", "s"); !strings.Contains(got, " encoding:stream ") {
		t.Errorf("object: %q", got)
	}
	if got := c.do("MEMORY", "USAGE", "s"); got == "$-1\r\n" || got == ":0\r\n" {
		t.Errorf("memory usage: %q", got)
	}
}

// Approximate trimming cuts off whole nodes, whose size is a parameter.
func TestStreamNodeLimits(t *testing.T) {
	c := dial(t, startServer(t, "stream-node-max-entries", "10"))
	for i := range 95 {
		c.do("XADD", "s", fmt.Sprint(i+1), "f", "v")
	}
	for _, tc := range []struct{ request, want string }{
		{"XTRIM s MAXLEN ~ 50", ":40\r\n"},
		{"CONFIG SET stream-node-max-entries 3", "+OK\r\n"},
		{"XADD s 101 f v", "$5\r\n101-0\r\n"},
		{"XADD s 102 f v", "$5\r\n102-0\r\n"},
		{"XADD s 103 f v", "$5\r\n103-0\r\n"},
		{"XADD s 104 f v", "$5\r\n104-0\r\n"},
		{"XTRIM s MAXLEN ~ 2", ":55\r\n"},
		{"XTRIM s MAXLEN ~ 2 LIMIT 2", ":0\r\n"},
		{"XLEN s", ":4\r\n"},
		{"XTRIM s MAXLEN ~ 1 LIMIT 0", ":3\r\n"},
	} {
		if got := c.do(strings.Fields(tc.request)...); got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
}

// Streams in transactions and pipelines, where nothing waits.
func TestStreamsInTransactions(t *testing.T) {
	srv := startServer(t)
	c := dial(t, srv)
	for _, tc := range []struct{ request, want string }{
		{"XGROUP CREATE s g $ MKSTREAM", "+OK\r\n"},
		{"WATCH s", "+OK\r\n"},
		{"MULTI", "+OK\r\n"},
		{"XADD s 1-1 f v", "+QUEUED\r\n"},
		{"XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "+QUEUED\r\n"},
		{"XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "+QUEUED\r\n"},
		{"XACK s g 1-1", "+QUEUED\r\n"},
		{"XREAD BLOCK 0 STREAMS s $", "+QUEUED\r\n"},
		{"XINFO GROUPS s", "+QUEUED\r\n"},
		{"EXEC", "*6\r\n$3\r\n1-1\r\n*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*-1\r\n:1\r\n*-1\r\n" +
			"*1\r\n*12\r\n$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:1\r\n$7\r\npending\r\n:0\r\n$17\r\nlast-delivered-id\r\n$3\r\n1-1\r\n$12\r\nentries-read\r\n:1\r\n$3\r\nlag\r\n:0\r\n"},
		{"MULTI", "+OK\r\n"},
		{"XRANGE s - +", "+QUEUED\r\n"},
		{"XREAD STREAMS s t 0 0", "+QUEUED\r\n"},
		{"EXEC", "*2\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"},
	} {
		if got := c.do(strings.Fields(tc.request)...); got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
	// What changes groups alone is no change for WATCH.
	other := dial(t, srv)
	for _, tc := range []struct {
		request string
		aborts  bool
	}{
		{"XGROUP CREATE s h 0", false}, {"XREADGROUP GROUP h c STREAMS s >", false}, {"XACK s h 1-1", false}, {"XSETID s 9-9", false}, {"XGROUP DESTROY s h", false},
		{"XADD s 10-1 f v", true}, {"XDEL s 10-1", true}, {"XTRIM s MAXLEN 5", false}, {"XTRIM s MAXLEN 0", true},
	} {
		c.do("WATCH", "s")
		other.do(strings.Fields(tc.request)...)
		c.do("MULTI")
		c.do("PING")
		if got := c.do("EXEC"); (got == "*-1\r\n") != tc.aborts {
			t.Errorf("after %s: %q", tc.request, got)
		}
	}
}
