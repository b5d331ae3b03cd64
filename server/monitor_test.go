package server

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestMonitor(t *testing.T) {
	s := startServer(t)
	m, c := dial(t, s), dial(t, s)
	m.roundTrip("monitor\r\n", "+OK\r\n")
	eventually(t, "it is shown what others do", s.monitors.any)
	addr := regexp.QuoteMeta(c.LocalAddr().String())
	next := func(db int, want string) {
		t.Helper()
		line, err := m.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile(fmt.Sprintf(`^\+\d+\.\d{6} \[%d %s\] (.*)\r\n$`, db, addr))
		if got := re.FindStringSubmatch(line); got == nil || got[1] != want {
			t.Fatalf("got %q, want %q in database %d", line, want, db)
		}
	}
	c.send("set k 'a \\'b'\r\nget k\r\n" + request("set", "bin", "\x00\n\xff\"\\") + "foo bar\r\nget\r\nselect 2\r\nAUTH secret\r\nmulti\r\nincr n\r\nexec\r\nconfig get port\r\n")
	next(0, `"set" "k" "a 'b"`)
	next(0, `"get" "k"`)
	next(0, `"set" "bin" "\x00\n\xff\"\\"`)
	next(2, `"select" "2"`)
	next(2, `"AUTH" "(redacted)"`)
	next(2, `"multi"`)
	next(2, `"incr" "n"`)
	next(2, `"exec"`)
	m.roundTrip("get k\r\n", "-ERR Replica can't interact with the keyspace\r\n")
	m.send("reset\r\n")
	for {
		line, err := m.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "+RESET\r\n" {
			break
		}
	}
	if s.monitors.any() {
		t.Error("RESET left the monitor")
	}
	m.roundTrip("ping\r\n", "+PONG\r\n")
}

// TestSlowMonitorIsDropped floods a monitor that does not read.
func TestSlowMonitorIsDropped(t *testing.T) {
	s := startServer(t, "client-output-buffer-limit", "pubsub 1048576 0 0")
	m, c := dial(t, s), dial(t, s)
	m.roundTrip("monitor\r\n", "+OK\r\n")
	eventually(t, "it is shown what others do", s.monitors.any)
	arg := strings.Repeat("x", 100000)
	for s.monitors.any() {
		c.roundTrip(request("ECHO", arg), "$100000\r\n"+arg+"\r\n")
	}
	eventually(t, "it is counted", func() bool { return s.stats.OutputLimitKills.Load() == 1 })
	c.roundTrip("ping\r\n", "+PONG\r\n")
}
