package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newWire(t *testing.T, hosts int) *Wire {
	t.Helper()
	w, err := New()
	if errors.Is(err, ErrUnavailable) && os.Getenv("CI") != "true" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	for range hosts {
		if _, err := w.AddHost(); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// echo serves lines back on a host.
func echo(t *testing.T, h *Host) string {
	t.Helper()
	addr := h.Addr() + ":7"
	var l net.Listener
	if err := h.Do(func() (err error) { l, err = net.Listen("tcp4", addr); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	return addr
}

// ask sends a line and returns what comes back within the time.
func ask(c net.Conn, line string, within time.Duration) (string, error) {
	c.SetDeadline(time.Now().Add(within))
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", err
	}
	got, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(got), err
}

func wantEcho(t *testing.T, c net.Conn, line string) {
	t.Helper()
	if got, err := ask(c, line, 5*time.Second); got != line {
		t.Fatalf("sent %.20q, got %.20q, %v", line, got, err)
	}
}

func TestHostsTalk(t *testing.T) {
	w := newWire(t, 2)
	one, two := echo(t, w.Host(1)), echo(t, w.Host(2))
	for _, addr := range []string{one, two} {
		c, err := w.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		wantEcho(t, c, "from the clients")
		wantEcho(t, c, strings.Repeat("long", 60_000))
	}
	// A host reaches another, itself, and has a loopback of its own.
	for _, addr := range []string{one, two} {
		var c net.Conn
		err := w.Host(1).room.visit(func() (err error) { c, err = net.DialTimeout("tcp4", addr, time.Second); return err })
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		wantEcho(t, c, "from a host")
	}
	err := w.Host(1).Do(func() error {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		c, err := net.DialTimeout("tcp4", l.Addr().String(), time.Second)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Errorf("loopback of a host: %v", err)
	}
	// Nobody else sees the network.
	if c, err := net.DialTimeout("tcp4", one, time.Second); err == nil {
		c.Close()
		t.Error("a host can be reached from outside")
	}
}

func TestLinks(t *testing.T) {
	w := newWire(t, 1)
	c, err := w.Dial(echo(t, w.Host(1)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const soon, never = 200 * time.Millisecond, 10 * time.Second
	wantEcho(t, c, "before")

	for _, d := range [][2]int{{Clients, 1}, {1, Clients}} {
		w.SetLink(d[0], d[1], Link{Drop: true})
		if got, err := ask(c, "lost", soon); err == nil {
			t.Errorf("%v dropped: got %q", d, got)
		}
		w.SetLink(d[0], d[1], Link{})
		// TCP sends again what was lost.
		c.SetDeadline(time.Now().Add(never))
		if got, err := bufio.NewReader(c).ReadString('\n'); got != "lost\n" {
			t.Fatalf("after healing: %q, %v", got, err)
		}
	}

	w.SetBoth(1, Clients, Link{Delay: 100 * time.Millisecond, Jitter: 50 * time.Millisecond})
	start := time.Now()
	wantEcho(t, c, "late")
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("two delays of 100 ms took %v", took)
	}
	w.Heal()

	w.SetLink(Clients, 1, Link{BytesPerSecond: 1 << 20})
	start = time.Now()
	wantEcho(t, c, strings.Repeat("x", 256<<10))
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("256 KiB at 1 MiB/s took %v", took)
	}
	w.SetBoth(1, Clients, Link{Loss: 0.3})
	wantEcho(t, c, "in spite of loss")
	w.Heal()
	start = time.Now()
	wantEcho(t, c, "healed")
	if took := time.Since(start); took > time.Second {
		t.Errorf("a healed link took %v", took)
	}
}

// What is mounted on a host is not seen here and is as small as it was asked for.
func TestMount(t *testing.T) {
	w := newWire(t, 1)
	dir := t.TempDir()
	h := w.Host(1)
	if err := h.Mount(dir, 1<<20); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "file")
	if err := h.Do(func() error { return os.WriteFile(path, make([]byte, 2<<20), 0o600) }); err == nil {
		t.Error("2 MiB fit into 1 MiB")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the mount is seen from outside")
	}
	h.Close()
	if err := h.Do(func() error { return nil }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed host: %v", err)
	}
}
