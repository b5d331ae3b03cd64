package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

func TestClusterFlags(t *testing.T) {
	c, err := parseFlags([]string{"-cluster"})
	if err != nil || !slices.Equal(c.rows, clusterRows) || c.kills != defaultKills {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := parseFlags([]string{"-cluster", "-quick", "-rows", "outage,etcd"}); err != nil || !slices.Equal(c.rows, []string{rowOutage, rowEtcd}) {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range [][]string{{"-cluster", "-rows", "get"}, {"-rows", "etcd"}, {"-cluster", "-memory"}, {"-cluster", "-kills", "0"}} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestSections(t *testing.T) {
	if s := sections([]string{rowShards, rowOutage}); len(s) != 1 || s[0].name != rowShards {
		t.Errorf("%+v", s)
	}
	s := sections(clusterRows)
	if len(s) != len(clusterRows)-1 {
		t.Fatalf("%d sections", len(s))
	}
	// What etcd does without a pipeline is measured before it is the base of another row.
	seen := make(map[*row]bool)
	for _, l := range s[0].loads {
		if l.baseOf != nil && !seen[l.baseOf] {
			t.Errorf("%s: its base is not measured before", l.row.name)
		}
		seen[l.row] = true
	}
}

func TestParseEtcdLoad(t *testing.T) {
	c := config{seconds: 6, failures: defaultFailures}
	if rate, err := parseEtcdLoad(c, "1900.5 1\n"); err != nil || rate != 1900.5 {
		t.Errorf("got %v, %v", rate, err)
	}
	for _, bad := range []string{"", "x 0\n", "1900\n", "1900.5 120\n", "0.0 0\n"} {
		if rate, err := parseEtcdLoad(c, bad); err == nil {
			t.Errorf("%q: got %v and no error", bad, rate)
		}
	}
}

func TestKeyOf(t *testing.T) {
	for n, want := range map[int]string{0: "key:000000000000", 42: "key:000000000042", 999_999: "key:000000999999"} {
		if got := keyOf(n); got != want {
			t.Errorf("keyOf(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestReportCluster(t *testing.T) {
	var out bytes.Buffer
	s := sections([]string{rowEtcd, rowReplication})
	s[0].loads[0].row.base, s[0].loads[0].row.dkv = []float64{1000, 2000, 1500}, []float64{6000, 6000, 4500}
	s[1].loads[0].row.base, s[1].loads[0].row.dkv = []float64{1000}, []float64{300}
	ms := time.Millisecond
	outages := []outage{{first: 700 * ms, all: 900 * ms}, {first: 600 * ms, all: 1100 * ms}, {first: 800 * ms, all: 2500 * ms}}
	reportCluster(config{rounds: 3, seconds: 6, keys: 1000, out: &out, dkvFlags: []string{"-read-mode", "lease"}}, s, outages, "a machine", time.Minute)
	for _, want := range []string{
		"| row | etcd | dkv | ratio |",
		"| SET -P 1 (requests/s) | 1500 | 6000 | **4.00** | 3.00 met | 6.00 missed | 6.00 3.00 3.00 |",
		"| row | one node | three nodes | ratio |",
		"| SET -P 1 (requests/s) | 1000 | 300 | **0.30** | 0.35 missed | - | 0.30 |",
		"| a write is acknowledged | 3 | 700 ms | **800 ms** | 2s met | 1s met |",
		"| each of 6 writers has one acknowledged | 3 | 1100 ms | **2500 ms** | 2s missed | 1s missed |",
		"and -read-mode lease",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// tiny is a run as small as it goes. Other tests run at the same time, and may
// take so much of the machine that a cluster elects in the middle.
func tiny(t *testing.T, rows ...string) config {
	return config{rounds: 1, seconds: 0.2, keys: 2000, kills: 1, failures: 1, folder: t.TempDir(), rows: rows,
		out: io.Discard, progress: t.Output()}
}

// Three nodes, one node, shards and the death of a leader: all but etcd.
func TestMeasureCluster(t *testing.T) {
	harness.NeedLong(t)
	harness.NeedItself(t)
	c := tiny(t, rowReplication, rowShards)
	for _, s := range sections(c.rows) {
		if err := s.measure(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		for _, l := range s.loads {
			if r := l.row; len(r.base) != 1 || len(r.dkv) != 1 || r.ratio() <= 0 {
				t.Errorf("%s, %s: %v to %v", s.name, r.name, r.dkv, r.base)
			}
		}
	}
	outages, err := measureOutages(t.Context(), c)
	if err != nil || len(outages) != 1 || outages[0].first <= 0 || outages[0].all < outages[0].first {
		t.Errorf("%v, %v", outages, err)
	}
}

// The load on one node, whose contents say what it did.
func TestRunLoad(t *testing.T) {
	harness.NeedLong(t)
	c := tiny(t)
	c.failures = 0
	server := harness.Dkv(t)
	fill := clusterLoad{op: opFill, pipeline: fillBatch}
	if _, err := runLoad(t.Context(), c, []string{server.Addr()}, clusterLoad{op: opGet, pipeline: 1}); err == nil {
		t.Error("GET of keys that are not there is no error")
	}
	if _, err := runLoad(t.Context(), c, []string{server.Addr()}, fill); err != nil {
		t.Fatal(err)
	}
	if n, _ := server.Dial(t).Do("DBSIZE").Int(); n != int64(c.keys) {
		t.Errorf("%d keys, want %d", n, c.keys)
	}
	for _, l := range []clusterLoad{{op: opGet, pipeline: 1}, {op: opGet, pipeline: 8}, {op: opSet, pipeline: 1}, {op: opSet, pipeline: 8}} {
		if rate, err := runLoad(t.Context(), c, []string{server.Addr()}, l); err != nil || rate <= 0 {
			t.Errorf("%+v: %v, %v", l, rate, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runLoad(cancelled, c, []string{server.Addr()}, fill); err == nil {
		t.Error("no error when interrupted")
	}
}

// etcd and its load, where they are there and somebody wants to know: the tests
// need neither etcd nor its client's modules.
func TestEtcdLoad(t *testing.T) {
	if os.Getenv("DKV_TEST_ETCD") == "" {
		t.Skip("skipped: needs etcd (tests/tools.sh install-etcd) and DKV_TEST_ETCD=1")
	}
	c := tiny(t)
	e, err := startEtcd(c, filepath.Join(c.folder, "etcd"))
	if err != nil {
		t.Fatal(err)
	}
	defer e.stop()
	for _, op := range []string{opFill, opGet, opSet} {
		if rate, err := e.run(t.Context(), c, clusterLoad{op: op, pipeline: 1}); err != nil || rate <= 0 {
			t.Errorf("%s: %v, %v", op, rate, err)
		}
	}
}
