package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Every workload on a real server, closed loop and by a schedule.
func TestWorkloads(t *testing.T) {
	sock := redisServer(t)
	for _, w := range workloads {
		if w.name == "incr" {
			query(t, sock, "FLUSHALL") // the other workloads' values are no numbers
		}
		for _, args := range []string{"-P 4", "-rate 20000"} {
			if w.has(opScan) && args == "-P 4" {
				args = "-P 1"
			}
			all := append([]string{w.name, "-a", sock, "-r", "100", "-n", "500", "-c", "5", "-db", "0"}, strings.Fields(args)...)
			if w.name != "incr" {
				all = append(all, "-load")
			}
			r := measure(t, all...)
			if r.Ops != 500 || r.failed() {
				t.Errorf("%v: %d operations, %v", all, r.Ops, r.ErrorTexts)
			}
			// A connection that is slow with an insert may be overtaken by many.
			if r.Misses > 0 && (!w.has(opInsert) || r.Misses > r.Lookups/20) {
				t.Errorf("%v: %d of %d lookups missed in a loaded key space", all, r.Misses, r.Lookups)
			}
		}
		if w.name == "incr" {
			if n, err := strconv.Atoi(query(t, sock, "DBSIZE")); err != nil || n < 90 || n > 100 { // ten increments each
				t.Errorf("incr: %d keys, %v", n, err)
			}
			query(t, sock, "FLUSHALL")
		}
	}
}

func TestProcess(t *testing.T) {
	sock := redisServer(t, "--requirepass", "secret")
	file := filepath.Join(t.TempDir(), "out.json")
	r := benchCommand(t, "ycsb-b", "-a", sock, "-pass", "secret", "-load", "-r", "1000", "-n", "1000", "-warmup", "10ms", "-seed", "9", "-json", file)
	if r.code != exitOK || r.err != "" {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{"seed 9", "(redis ", "loaded 1000 records", "read ", "update ", "all ", "100.00% of "} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is missing:\n%s", want, r.out)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil || d.Runs[0].Ops != 1000 || d.Config.Seed != 9 || len(d.Runs[0].Series) == 0 {
		t.Errorf("%v: %s", err, text)
	}

	r = benchCommand(t, "-a", sock, "-pass", "secret", "-n", "100", "-json", "-")
	if err := json.Unmarshal([]byte(r.out), &d); err != nil || r.code != exitOK {
		t.Errorf("%v: %+v", err, r)
	}
	if r := benchCommand(t, "-a", sock, "-n", "100"); r.code != exitFailed || !strings.Contains(r.out, "100 x NOAUTH") {
		t.Errorf("without a password: %+v", r)
	}
	if r := benchCommand(t, "-a", sock, "-pass", "wrong", "-n", "100"); r.code != exitConn || !strings.Contains(r.err, "WRONGPASS") {
		t.Errorf("with a wrong password: %+v", r)
	}
	if r := benchCommand(t, "-nosuch"); r.code != exitUsage || !strings.Contains(r.err, "-help") {
		t.Errorf("%+v", r)
	}
	if r := benchCommand(t, "-help"); r.code != exitOK || !strings.Contains(r.out, "ycsb-f") || r.err != "" {
		t.Errorf("%+v", r)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if r := benchCommand(t, "-a", ln.Addr().String()); r.code != exitConn || !strings.Contains(r.err, "could not connect") {
		t.Errorf("%+v", r)
	}
}

func TestCompare(t *testing.T) {
	a, b := redisServer(t), redisServer(t)
	r := benchCommand(t, "get", "-a", a, "-compare", b, "-load", "-r", "200", "-n", "500", "-rounds", "2", "-pause", "0s")
	if r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	var order []string
	for line := range strings.Lines(r.out) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "round" {
			order = append(order, f[1]+f[2])
		}
	}
	if got := strings.Join(order, " "); got != "1A 1B 2B 2A" {
		t.Errorf("order %s:\n%s", got, r.out)
	}
	if !strings.Contains(r.out, "A/B") || !strings.Contains(r.out, "p99.99 ms") {
		t.Errorf("no medians:\n%s", r.out)
	}
	if query(t, a, "DBSIZE") != "200" || query(t, b, "DBSIZE") != "200" {
		t.Error("not both servers were loaded")
	}
}
