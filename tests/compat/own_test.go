package compat

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// What only dkv has, and what came with Redis 7.2: the differential suite
// cannot compare it with Debian's 7.0.

func TestCompareAndSet(t *testing.T) {
	harness.NeedItself(t)
	c := harness.Dkv(t).Dial(t)
	c.Want(":0\r\n", "DKV.CAS", "k", "expected", "new") // absent is not any value
	c.Want("$-1\r\n", "GET", "k")
	c.OK("SET", "k", "a", "EX", "100")
	c.Want(":0\r\n", "DKV.CAS", "k", "b", "c")
	c.Want("$1\r\na\r\n", "GET", "k")
	c.Want(":1\r\n", "DKV.CAS", "k", "a", "b")
	c.Want("$1\r\nb\r\n", "GET", "k")
	c.Want(":1\r\n", "dkv.cas", "k", "b", "c", "px", "50000")
	if ttl := c.DoInt("PTTL", "k"); ttl < 40_000 || ttl > 50_000 {
		t.Errorf("PTTL after PX 50000 is %d", ttl)
	}
	c.OK("SET", "empty", "")
	c.Want(":1\r\n", "DKV.CAS", "empty", "", "x")
	c.Want("-ERR wrong number of arguments for 'dkv.cas' command\r\n", "DKV.CAS", "k", "a")
	for _, args := range [][]string{{"PX"}, {"PX", "abc"}, {"PX", "0"}, {"EX", "1"}, {"PX", "1", "2"}} {
		if r := c.Do(append([]string{"DKV.CAS", "k", "c", "d"}, args...)...); !r.IsError() {
			t.Errorf("DKV.CAS k c d %q: %s", args, r)
		}
	}
	c.Want("$1\r\nc\r\n", "GET", "k")

	c.Want(":0\r\n", "DKV.CAS", "k", "", "d", "ABSENT")
	c.Want(":1\r\n", "DKV.CAS", "fresh", "", "d", "absent", "PX", "50000")
	c.Want("$1\r\nd\r\n", "GET", "fresh")
	c.Want("-ERR syntax error\r\n", "DKV.CAS", "k", "c", "d", "ABSENT")

	// It is a write like others: in transactions, and seen by WATCH.
	c.OK("WATCH", "k")
	c.Want(":1\r\n", "DKV.CAS", "k", "c", "d")
	c.OK("MULTI")
	c.Want("+QUEUED\r\n", "DKV.CAS", "k", "d", "e")
	c.Want("*-1\r\n", "EXEC")
	c.Want("*1\r\n$1\r\nk\r\n", "COMMAND", "GETKEYS", "DKV.CAS", "k", "a", "b")
}

// DKV.CAS from many clients at once: of those that expect the same value one wins.
func TestCompareAndSetRace(t *testing.T) {
	harness.NeedItself(t)
	srv := harness.Dkv(t, "-fsync", "no")
	const clients, steps = 8, 200
	c := srv.Dial(t)
	c.OK("SET", "k", "0")
	wins := make(chan int, clients)
	for range clients {
		go func() {
			conn, err := harness.Dial(srv.Addr())
			if err != nil {
				t.Error(err)
				wins <- 0
				return
			}
			defer conn.Close()
			won := 0
			for i := 0; i < steps; {
				r, err := conn.Call("DKV.CAS", "k", strings.Repeat("x", i), strings.Repeat("x", i+1))
				if err != nil {
					t.Error(err)
					break
				}
				if n, _ := r.Int(); n == 1 {
					won++
				}
				if r, err = conn.Call("STRLEN", "k"); err == nil {
					n, _ := r.Int()
					i = int(n)
				}
			}
			wins <- won
		}()
	}
	c.OK("SET", "k", "")
	total := 0
	for range clients {
		total += <-wins
	}
	if total != steps {
		t.Errorf("%d of the compare-and-sets succeeded, want %d", total, steps)
	}
}

func TestRedis72(t *testing.T) {
	harness.NeedItself(t)
	c := harness.Dkv(t).Dial(t)
	c.OK("CLIENT", "SETINFO", "LIB-NAME", "mylib")
	c.OK("CLIENT", "SETINFO", "lib-ver", "1.2.3")
	info := string(c.Do("CLIENT", "INFO").Str)
	if !strings.Contains(info, "lib-name=mylib") || !strings.Contains(info, "lib-ver=1.2.3") {
		t.Errorf("CLIENT INFO: %s", info)
	}
	c.Want("-ERR LIB-NAME cannot contain spaces, newlines or special characters.\r\n", "CLIENT", "SETINFO", "LIB-NAME", "my lib")
	c.Want("-ERR Unrecognized option 'BAD'\r\n", "CLIENT", "SETINFO", "BAD", "x")
	c.OK("CLIENT", "NO-TOUCH", "ON")
	c.OK("CLIENT", "NO-TOUCH", "off")
	c.Want("-ERR syntax error\r\n", "CLIENT", "NO-TOUCH", "bad")
}

// What later issues bring answers as an unknown command does, so that clients
// can tell.
func TestNotBuiltYet(t *testing.T) {
	harness.NeedItself(t)
	c := harness.Dkv(t).Dial(t)
	for _, name := range []string{"FAILOVER"} {
		if r := c.Do(name, "a", "b"); !strings.HasPrefix(string(r.Raw), "-ERR unknown command '"+name+"', with args beginning with: 'a' 'b' \r\n") {
			t.Errorf("%s: %s", name, r)
		}
	}
}

// With -diskless nothing outlives the process, and nothing is written.
func TestDiskless(t *testing.T) {
	harness.NeedItself(t)
	dir := filepath.Join(t.TempDir(), "data")
	for _, flag := range []string{"-diskless", "-dbDiskless", "--diskless=yes"} {
		srv := harness.DkvIn(t, dir, flag)
		c := srv.Dial(t)
		c.OK("SET", "k", "v")
		c.Want("$1\r\nv\r\n", "GET", "k")
		srv.Kill()
		srv.MustStart(t)
		srv.Dial(t).Want("$-1\r\n", "GET", "k")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s was made", dir)
	}
}

// Without a password only this machine is served, as in Redis.
func TestProtectedMode(t *testing.T) {
	harness.NeedItself(t)
	var outside string
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			outside = ip.IP.String()
		}
	}
	if outside == "" {
		t.Skip("this machine has no other address than its loopback")
	}
	for _, c := range []struct {
		reply string
		flags []string
	}{
		{"-DENIED Redis is running in protected mode", nil},
		{"+PONG", []string{"-protected-mode", "no"}},
		{"-NOAUTH", []string{"-requirepass", "secret"}},
	} {
		srv := harness.Dkv(t, append([]string{"-bind", "0.0.0.0"}, c.flags...)...)
		conn, err := harness.Dial(net.JoinHostPort(outside, strconv.Itoa(srv.Port())))
		if err != nil {
			t.Fatal(err)
		}
		r, err := conn.Call("PING")
		if err != nil || !strings.HasPrefix(string(r.Raw), c.reply) {
			t.Errorf("%q: got %s, %v, want %s", c.flags, r, err, c.reply)
		}
		conn.Close()
	}
}

// OBJECT FREQ follows the eviction policy; IDLETIME counts from the last use
// that the server knows of.
func TestIdleTime(t *testing.T) {
	c := harness.Dkv(t).Dial(t)
	c.OK("SET", "k", "v")
	if idle := c.DoInt("OBJECT", "IDLETIME", "k"); idle < 0 || idle > int64(time.Minute/time.Second) {
		t.Errorf("OBJECT IDLETIME of a key just set: %d", idle)
	}
}
