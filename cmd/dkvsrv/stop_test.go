package main

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A command that takes minutes does not hold a stop up for longer than shutdown-timeout and
// some seconds. What was acknowledged is there after the next start; the command was not
// carried out.
func TestStopWhileBusy(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, "-port", "0", "-shutdown-timeout", "1", "-fsync", "everysec")
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const members = 1000
	sadd := []string{"SADD s"}
	for i := range members {
		sadd = append(sadd, fmt.Sprint("m", i))
	}
	if got := fmt.Sprint(p.do(strings.Join(sadd, " "), "SET k v")); got != "[:1000 +OK]" {
		t.Fatal(got)
	}
	// Two hundred million elements to read, in one command.
	const sets = 200_000
	fmt.Fprintf(c, "*%d\r\n$11\r\nSUNIONSTORE\r\n$3\r\nout\r\n", sets+2)
	if _, err := c.Write([]byte(strings.Repeat("$1\r\ns\r\n", sets))); err != nil {
		t.Fatal(err)
	}
	// It has begun when a write has no reply within a while.
	waits := func() bool {
		other, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		fmt.Fprint(other, "INCR n\r\n")
		_ = other.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err = other.Read(make([]byte, 1))
		return err != nil
	}
	for deadline := time.Now().Add(patience); !waits(); {
		if time.Now().After(deadline) {
			t.Fatal("the command is not running")
		}
	}
	began := time.Now()
	if code := p.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("status %d", code)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	if !regexp.MustCompile("a command is still running after shutdown-timeout").MatchString(p.all.String()) {
		t.Errorf("the log does not say so:\n%s", p.all.String())
	}
	again := start(t, dir, "-port", "0")
	if got := fmt.Sprint(again.do("GET k", "SCARD s", "EXISTS out")); got != "[v :1000 :0]" {
		t.Errorf("after a restart: %s", got)
	}
	if code := again.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("status %d", code)
	}
}
