package replica

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dkv/tests/harness"
)

// smallLog makes the log forget soon.
var smallLog = []string{"-fsync", "no", "-repl-log-size", "1mb", "-max-log-size", "2mb", "-log-cache-size", "1mb", "-memtable-size", "1mb", "-hot-write-buffer-size", "1mb"}

// TestCopyUnderLoad: a full copy while clients write all the time ends, the replica
// catches up though the log is small, and it is not copied again.
func TestCopyUnderLoad(t *testing.T) {
	rng := seedOf(t)
	source := harness.Dkv(t, smallLog...)
	fill(source.Dial(t), rng, 64)
	stop := load(source.Addr(), rng.Uint64(), 4)
	replica := replicaOf(t, source, "-fsync", "no")
	awaitUp(t, replica)
	harness.Until(t, patience, "some progress", progress(replica, 300))
	stop()
	awaitSame(t, source, replica)
	if got := infoField(source, "stats", "sync_full"); got != "1" {
		t.Errorf("sync_full is %s", got)
	}
}

// TestAwayTooLong: a replica whose place is not in the log any more is copied again.
func TestAwayTooLong(t *testing.T) {
	rng := seedOf(t)
	source := harness.Dkv(t, smallLog...)
	replica := replicaOf(t, source)
	awaitUp(t, replica)
	replica.Kill()
	fill(source.Dial(t), rng, 24)
	harness.Until(t, patience, "the log to be cut", func() bool {
		n, err := strconv.Atoi(infoField(source, "dkv", "log_bytes"))
		return err == nil && n < 12<<20
	})
	replica.MustStart(t)
	awaitUp(t, replica)
	awaitSame(t, source, replica)
	if full, refused := infoField(source, "stats", "sync_full"), infoField(source, "stats", "sync_partial_err"); full != "2" || refused != "1" {
		t.Errorf("sync_full is %s, sync_partial_err %s", full, refused)
	}
}

// TestStuckReplica: one that does not read any more costs the source nothing, and is
// dropped.
func TestStuckReplica(t *testing.T) {
	rng := seedOf(t)
	source := harness.Dkv(t, append([]string{"-repl-timeout", "2"}, smallLog...)...)
	replica := replicaOf(t, source)
	awaitUp(t, replica)
	if err := replica.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s := source.Dial(t)
	fill(s, rng, 24)
	harness.Until(t, patience, "the replica to be dropped", func() bool {
		return strings.Contains(source.Logs(), "a replica was dropped") && s.Info("replication")["connected_slaves"] == "0"
	})
	s.OK("SET", "k", "v")
	if err := replica.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	awaitUp(t, replica)
	awaitSame(t, source, replica)
}

// TestLag: what is written is on the replica within milliseconds.
func TestLag(t *testing.T) {
	source := harness.Dkv(t, "-fsync", "no")
	replica := replicaOf(t, source, "-fsync", "no")
	awaitUp(t, replica)
	s, r := source.Dial(t), replica.Dial(t)
	const times = 200
	var sum time.Duration
	for i := range times {
		want := strconv.Itoa(i)
		s.OK("SET", "k", want)
		began := time.Now()
		for string(r.Do("GET", "k").Str) != want {
			if time.Since(began) > patience {
				t.Fatal("it does not arrive")
			}
		}
		sum += time.Since(began)
	}
	t.Logf("%v on average", sum/times)
	if sum/times > 500*time.Millisecond {
		t.Errorf("%v on average until a write is on the replica", sum/times)
	}
	// As a poll, in the older store's way.
	r.OK("CONFIG", "SET", "repl-poll-interval", "300ms")
	s.OK("SET", "k", "first")
	awaitGet(t, r, "k", "first")
	s.OK("SET", "k", "second")
	awaitGet(t, r, "k", "second")
}
