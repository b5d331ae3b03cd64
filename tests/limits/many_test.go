package limits

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"dkv/tests/harness"
)

// pipelined sends n commands in pipelines and fails the test for an error reply.
func pipelined(t *testing.T, c *harness.TestConn, n int, command func(i int) []string) {
	t.Helper()
	const depth = 1000
	for next := 0; next < n; {
		count := min(depth, n-next)
		for i := range count {
			c.Queue(command(next + i)...)
		}
		c.SetDeadline(time.Now().Add(replyLimit))
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		for range count {
			if r, err := c.Read(); err != nil || r.IsError() {
				t.Fatalf("%s, %v", r, err)
			}
		}
		next += count
	}
}

// SCAN with a prefix seeks: on a million keys of which ten match, the whole
// scan takes milliseconds.
func TestScanPrefix(t *testing.T) {
	harness.NeedLong(t)
	harness.NeedItself(t)
	const (
		keys  = 1_000_000
		limit = 200 * time.Millisecond // a busy machine included
	)
	srv := harness.Dkv(t, "-fsync", "no")
	c := srv.Dial(t)
	pipelined(t, c, keys, func(i int) []string { return []string{"SET", "key:" + strconv.Itoa(i), "v"} })
	for i := range 10 {
		c.OK("SET", "rare:"+strconv.Itoa(i), "v")
	}
	best := time.Hour
	for range 5 {
		start := time.Now()
		found, calls := make(map[string]bool), 0
		for cursor := "0"; cursor != "0" || calls == 0; calls++ {
			r := c.Do("SCAN", cursor, "MATCH", "rare:*")
			for _, key := range r.Elems[1].Elems {
				found[string(key.Str)] = true
			}
			cursor = string(r.Elems[0].Str)
		}
		took := time.Since(start)
		best = min(best, took)
		if len(found) != 10 {
			t.Fatalf("found %d keys in %d calls", len(found), calls)
		}
		t.Logf("%v, %d calls", took, calls)
	}
	if best > limit {
		t.Errorf("the fastest scan took %v, more than %v", best, limit)
	}
}

// Keys that have expired are deleted at 50,000 a second at least.
func TestExpirySpeed(t *testing.T) {
	harness.NeedLong(t)
	const (
		keys      = 500_000
		perSecond = 50_000
	)
	srv := harness.Dkv(t, "-fsync", "everysec")
	c := srv.Dial(t)
	expireAll(t, c, keys, 100)
	start := time.Now()
	c.OK("DEBUG", "SET-ACTIVE-EXPIRE", "1")
	harness.Until(t, replyLimit, "the reaper", func() bool { return c.DoInt("DBSIZE") == 1 })
	took := time.Since(start)
	rate := keys / took.Seconds()
	t.Logf("%d keys deleted in %v, %.0f a second", keys, took, rate)
	if rate < perSecond && !harness.StandIn() { // Redis does it at its own pace
		t.Errorf("%.0f keys a second, less than %d", rate, perSecond)
	}
	c.Want("$1\r\nv\r\n", "GET", "stays")
	if got := c.Info("stats")["expired_keys"]; got != strconv.Itoa(keys) {
		t.Errorf("expired_keys is %s, want %d", got, keys)
	}
}

// The space of keys that have expired is given back to the disk without
// anybody asking for it.
func TestExpirySpace(t *testing.T) {
	harness.NeedLong(t)
	harness.NeedItself(t)
	const (
		keys       = 400_000
		valueBytes = 1000
		// What stays is the log, of which some is kept for replicas.
		keptBytes  = 300 << 20
		spaceLimit = 2 * time.Minute
	)
	dir := t.TempDir()
	srv := harness.DkvIn(t, dir, "-fsync", "no")
	c := srv.Dial(t)
	expireAll(t, c, keys, valueBytes)
	full := diskUse(t, dir)
	if full < keptBytes+keptBytes/4 {
		t.Fatalf("the folder has %d MiB, too little to show anything", full>>20)
	}
	c.OK("DEBUG", "SET-ACTIVE-EXPIRE", "1")
	harness.Until(t, replyLimit, "the reaper", func() bool { return c.DoInt("DBSIZE") == 1 })
	harness.Until(t, spaceLimit, fmt.Sprintf("the folder of %d MiB to shrink below %d MiB", full>>20, keptBytes>>20),
		func() bool { return diskUse(t, dir) < keptBytes })
	t.Logf("the folder shrank from %d MiB to %d MiB", full>>20, diskUse(t, dir)>>20)
}

// expireAll sets keys with values that do not compress, and one that stays, and
// returns when all but that one have expired and none has been deleted.
func expireAll(t *testing.T, c *harness.TestConn, keys, valueBytes int) {
	t.Helper()
	const ttl = 1000
	c.OK("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	random := make([]byte, keys+valueBytes)
	rand.NewChaCha8([32]byte{3}).Read(random)
	pipelined(t, c, keys, func(i int) []string {
		return []string{"SET", "key:" + strconv.Itoa(i), string(random[i : i+valueBytes]), "PX", strconv.Itoa(ttl)}
	})
	c.OK("SET", "stays", "v")
	last := "key:" + strconv.Itoa(keys-1)
	harness.Until(t, replyLimit, "the last key to expire", func() bool { return c.DoInt("PTTL", last) == -2 })
	if n := c.DoInt("DBSIZE"); n < int64(keys) {
		t.Fatalf("DBSIZE is %d: keys were deleted while that is off", n)
	}
}

// diskUse adds up the sizes of the files below a folder.
func diskUse(t *testing.T, dir string) int64 {
	t.Helper()
	var total int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // removed meanwhile
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}
