package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"dkv/tests/harness"
)

func TestHotGroup(t *testing.T) {
	c, err := parseFlags([]string{"-rows", "hot"})
	if want := slices.Concat(soloDefault, hotRows()); err != nil || !slices.Equal(c.rows, want) {
		t.Errorf("%v, %v, want %v", c.rows, err, want)
	}
	// The six commands of collections and counters, MSET, MGET, a thousand clients.
	if table := hotTable(); len(table) != 9 {
		t.Errorf("%d rows", len(table))
	}
	for _, h := range hotTable() {
		if h.floor <= 0 || h.goal < h.floor || !slices.Contains(hotRows(), h.row) {
			t.Errorf("%+v", h)
		}
	}
}

// The rows of many keys and many clients, as small as they go.
func TestMeasureHot(t *testing.T) {
	harness.NeedLong(t)
	harness.NeedProgram(t, "redis-server", "redis-server")
	harness.NeedProgram(t, "redis-benchmark", "redis-tools")
	c := config{rounds: 1, seconds: 0.05, keys: 1000, folder: t.TempDir(), out: io.Discard, progress: io.Discard,
		rows: []string{rowMSet, rowMGet, rowManyClients}}
	rows, err := measure(c)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
		if r.ratio() <= 0 {
			t.Errorf("%s: %v to %v", r.name, r.dkv, r.base)
		}
	}
	if want := []string{"MSET of 10 -P 1", "MGET of 10 -P 1", "GET -c 1000 -P 1"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// The row of the three engines, likewise.
func TestMeasureEngineSpeed(t *testing.T) {
	harness.NeedLong(t)
	harness.NeedEngine(t, "rocksdb")
	harness.NeedProgram(t, "redis-benchmark", "redis-tools")
	var out bytes.Buffer
	c := config{rounds: 1, seconds: 0.05, keys: 1000, folder: t.TempDir(), out: &out, progress: io.Discard, rows: []string{rowEngineSpeed}}
	rows, err := measureEngineSpeed(c)
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	printEngineSpeed(c, rows)
	for _, want := range []string{"| row | pebble | the engine |", "| SET -P 32, badger (requests/s) |", "| GET -P 32, rocksdb (requests/s) |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
