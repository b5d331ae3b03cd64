package replica

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// sum is a server's answer to DKV.CHECKSUM about one shard.
type sum struct {
	index, keys     int64
	digest, history string
}

func checksumOf(s *harness.Server, args ...string) (sum, error) {
	c, err := s.Connect()
	if err != nil {
		return sum{}, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	r, err := c.Call(append([]string{"DKV.CHECKSUM"}, args...)...)
	if err != nil || r.IsError() || len(r.Elems) == 0 {
		return sum{}, fmt.Errorf("DKV.CHECKSUM %v: %s %v", args, r, err)
	}
	f := r.Elems[0].Elems
	var out sum
	for i := 0; i+1 < len(f); i += 2 {
		switch v := f[i+1]; string(f[i].Str) {
		case "index":
			out.index, _ = v.Int()
		case "keys":
			out.keys, _ = v.Int()
		case "digest":
			out.digest = string(v.Str)
		case "history":
			out.history = string(v.Str)
		}
	}
	return out, nil
}

func mustChecksum(t *testing.T, s *harness.Server, args ...string) sum {
	t.Helper()
	out, err := checksumOf(s, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// awaitEqualSums waits until servers, to which nobody writes, have one digest.
func awaitEqualSums(t *testing.T, servers ...*harness.Server) sum {
	t.Helper()
	var first sum
	harness.Until(t, patience, "all to have the same digest", func() bool {
		var err error
		if first, err = checksumOf(servers[0], "0"); err != nil {
			return false
		}
		for _, s := range servers[1:] {
			if got, err := checksumOf(s, "0"); err != nil || got.digest != first.digest || got.keys != first.keys || got.history != first.history {
				return false
			}
		}
		return true
	})
	return first
}

// TestChecksumUnderLoad asks the nodes of a cluster and replicas of it, one of them on
// another engine, for the digest at one entry, while clients write.
func TestChecksumUnderLoad(t *testing.T) {
	rng := seedOf(t)
	c := harness.StartCluster(t, harness.ClusterOptions{})
	source := c.Nodes()[0].Server
	all := []*harness.Server{source, c.Nodes()[1].Server, c.Nodes()[2].Server,
		replicaOf(t, source), replicaOf(t, source, "-db-engine", "badger")}
	for _, r := range all[3:] {
		awaitUp(t, r)
	}
	stop := load(c.MustLeader(t).Addr(), rng.Uint64(), 4)
	equal := 0
	for ahead := int64(50); equal < 3 && ahead < 1<<20; ahead *= 2 {
		at := strconv.FormatInt(mustChecksum(t, source, "0").index+ahead, 10)
		sums := make([]sum, len(all))
		errs := make([]error, len(all))
		done := make(chan struct{})
		for i, s := range all {
			go func() {
				sums[i], errs[i] = checksumOf(s, "0", "AT", at)
				done <- struct{}{}
			}()
		}
		for range all {
			<-done
		}
		met := true
		for i := range all {
			// Too late for it, or too early for the clients' speed: another try.
			if errs[i] != nil && !strings.Contains(errs[i].Error(), "that entry") {
				t.Fatal(errs[i])
			}
			met = met && errs[i] == nil
		}
		if !met {
			continue
		}
		equal++
		for i, s := range sums {
			if s != sums[0] || fmt.Sprint(s.index) != at {
				t.Fatalf("at %s: %+v on the first, %+v on number %d", at, sums[0], s, i)
			}
		}
	}
	if answered := stop(); equal < 3 || answered == 0 {
		t.Fatalf("%d comparisons, %d commands", equal, answered)
	}
	awaitEqualSums(t, all...)

	// dkvctl does the same, and tells one that differs.
	addrs := make([]string, len(all))
	for i, s := range all {
		addrs[i] = s.Addr()
	}
	ctl := harness.NeedDkv(t, "dkvctl")
	out, err := exec.Command(ctl, "-a", strings.Join(addrs, ","), "-checksum").CombinedOutput()
	if err != nil || strings.Count(string(out), "  same") != 1 || strings.Count(string(out), "\n") != 6 {
		t.Errorf("dkvctl -checksum: %v\n%s", err, out)
	}
	other := harness.Dkv(t)
	other.Dial(t).OK("SET", "other", "data")
	out, err = exec.Command(ctl, "-a", addrs[0]+","+other.Addr(), "-checksum").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not of the same history") {
		t.Errorf("dkvctl -checksum of a stranger: %v\n%s", err, out)
	}
}

// TestChecksumErrors: what it refuses, and that it changes with the contents only.
func TestChecksumErrors(t *testing.T) {
	harness.NeedItself(t)
	s := harness.Dkv(t, "-cluster-timeout", "100ms")
	c := s.Dial(t)
	empty := mustChecksum(t, s)
	c.OK("SET", "a", "1")
	one := mustChecksum(t, s)
	c.OK("SET", "a", "2")
	two := mustChecksum(t, s)
	c.OK("SET", "a", "1")
	again := mustChecksum(t, s)
	if one.digest == two.digest || one.digest != again.digest || one.digest == empty.digest || one.keys != 1 || again.index <= one.index {
		t.Errorf("%+v, %+v, %+v, %+v", empty, one, two, again)
	}
	if got := mustChecksum(t, s, "0", "at", fmt.Sprint(again.index)); got != again {
		t.Errorf("AT where it is: %+v, want %+v", got, again)
	}
	for _, tc := range []struct{ args, want string }{
		{"1", "ERR there are shards 0 to 0"}, {"-1", "ERR there are shards 0 to 0"},
		{"x", "ERR value is not an integer or out of range"}, {"0 AT", "ERR syntax error"}, {"0 1 2", "ERR syntax error"},
		{"0 AT x", "ERR value is not an integer or out of range"}, {"AT 0", "ERR value is not an integer or out of range"},
		{"0 AT 1", "ERR shard 0 has passed that entry"}, {"AT 1000000", "ERR shard 0 has not reached that entry in time"},
	} {
		r := c.Do(append([]string{"DKV.CHECKSUM"}, strings.Fields(tc.args)...)...)
		if !r.IsError() || !strings.HasPrefix(string(r.Str), tc.want) {
			t.Errorf("DKV.CHECKSUM %s: %s, want %s", tc.args, r, tc.want)
		}
	}
}
