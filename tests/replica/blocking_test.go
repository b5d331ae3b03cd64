package replica

import (
	"fmt"
	"testing"
	"time"

	"dkv/tests/harness"
)

// waiting is a client of a replica that waits for a stream.
type waiting struct {
	*harness.TestConn
	t *testing.T
}

// waitFor has a new client send a command that waits, as the nth who does.
func waitFor(t *testing.T, r *harness.Server, n int, args ...string) waiting {
	t.Helper()
	w := waiting{r.Dial(t), t}
	w.Queue(args...)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	awaitBlocked(t, r, n)
	return w
}

func awaitBlocked(t *testing.T, r *harness.Server, n int) {
	t.Helper()
	harness.Until(t, patience, fmt.Sprint(n, " to wait"), func() bool { return infoField(r, "clients", "blocked_clients") == fmt.Sprint(n) })
}

func (w waiting) want(reply string) {
	w.t.Helper()
	w.SetDeadline(time.Now().Add(patience))
	if r, err := w.Read(); err != nil || string(r.Raw) != reply {
		w.t.Errorf("%s, %v, want %q", r, err, reply)
	}
}

// gone waits until the server has closed the connection.
func (w waiting) gone() {
	w.t.Helper()
	w.SetDeadline(time.Now().Add(patience))
	if r, err := w.Read(); err == nil {
		w.t.Errorf("%s, want the end of the connection", r)
	}
}

// added is the reply to an XREAD of one entry.
func added(stream, id, field, value string) string {
	return fmt.Sprintf("*1\r\n*2\r\n$%d\r\n%s\r\n*1\r\n*2\r\n$%d\r\n%s\r\n*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n",
		len(stream), stream, len(id), id, len(field), field, len(value), value)
}

// TestBlockingReadsOnReplicas: XREAD with BLOCK waits on a replica, and on a replica's
// replica, for what the master's clients add; what pops is refused.
func TestBlockingReadsOnReplicas(t *testing.T) {
	source := harness.Dkv(t)
	s := source.Dial(t)
	s.Do("XADD", "s", "1-1", "f", "old")
	first := replicaOf(t, source)
	second := replicaOf(t, first)
	awaitUp(t, first)
	awaitUp(t, second)
	awaitSame(t, source, first, second)
	for _, r := range []*harness.Server{first, second} {
		c := r.Dial(t)
		c.Want(readOnly, "BLPOP", "l", "1")
		c.Want(readOnly, "BZPOPMIN", "z", "1")
		c.Want(readOnly, "XREADGROUP", "GROUP", "g", "c", "BLOCK", "1", "STREAMS", "s", ">")
		c.Want("*-1\r\n", "XREAD", "BLOCK", "10", "STREAMS", "s", "$") // in time
		c.Want(added("s", "1-1", "f", "old"), "XREAD", "BLOCK", "0", "STREAMS", "s", "0")
	}
	var readers []waiting
	for i := range 3 {
		for _, r := range []*harness.Server{first, second} {
			readers = append(readers, waitFor(t, r, i+1, "XREAD", "BLOCK", "0", "STREAMS", "s", "other", "$", "0"))
		}
	}
	// What was there before, and what is deleted or another type, is not what they wait for.
	s.Want(":1\r\n", "DEL", "s")
	s.OK("SET", "s", "a string")
	s.OK("FLUSHALL")
	s.OK("SET", "unrelated", "1")
	awaitSame(t, source, first, second)
	awaitBlocked(t, first, 3)
	awaitBlocked(t, second, 3)
	s.Want("$3\r\n2-1\r\n", "XADD", "s", "2-1", "f", "new")
	for _, w := range readers {
		w.want(added("s", "2-1", "f", "new"))
	}
	awaitBlocked(t, first, 0)

	// In another database, and by a script.
	w := waiting{first.Dial(t), t}
	w.OK("SELECT", "5")
	w.Queue("XREAD", "BLOCK", "0", "STREAMS", "s", "$")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	awaitBlocked(t, first, 1)
	s.Do("XADD", "s", "3-1", "f", "v")
	s.OK("SELECT", "5")
	s.Do("EVAL", "return redis.call('XADD', KEYS[1], '1-1', 'f', 'v')", "1", "s")
	w.want(added("s", "1-1", "f", "v"))
}

// TestBlockedOnReplicaEnds: how else a wait on a replica ends, and what it survives.
func TestBlockedOnReplicaEnds(t *testing.T) {
	source := harness.Dkv(t)
	s := source.Dial(t)
	r := replicaOf(t, source)
	awaitUp(t, r)
	admin := r.Dial(t)
	read := []string{"XREAD", "BLOCK", "0", "STREAMS", "s", "$"}
	for how, want := range map[string]string{"TIMEOUT": "*-1\r\n", "ERROR": "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"} {
		w := waiting{r.Dial(t), t}
		id := w.DoInt("CLIENT", "ID")
		w.Queue(read...)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		awaitBlocked(t, r, 1)
		admin.Want(":1\r\n", "CLIENT", "UNBLOCK", fmt.Sprint(id), how)
		w.want(want)
	}
	waitFor(t, r, 1, "XREAD", "BLOCK", "20", "STREAMS", "s", "$").want("*-1\r\n")
	waitFor(t, r, 1, read...).Close()
	awaitBlocked(t, r, 0)

	// It waits while the replica is cut off, while it gets a copy, and when it is a master.
	w, late := waitFor(t, r, 1, read...), waitFor(t, r, 2, "XREAD", "BLOCK", "0", "STREAMS", "late", "$")
	source.Kill()
	source.MustStart(t)
	awaitUp(t, r)
	s = source.Dial(t)
	s.Do("XADD", "s", "1-1", "f", "v")
	w.want(added("s", "1-1", "f", "v"))
	awaitBlocked(t, r, 1)
	admin.OK("REPLICAOF", "NO", "ONE")
	awaitBlocked(t, r, 1)
	admin.Want("$3\r\n1-1\r\n", "XADD", "late", "1-1", "f", "v")
	late.want(added("late", "1-1", "f", "v"))

	// Another source ends all waits, and the connections, as in Redis.
	stranger := harness.Dkv(t)
	w, pops := waitFor(t, r, 1, read...), waitFor(t, r, 2, "BLPOP", "l", "0")
	host, port := cut(stranger.Addr(), ":")
	admin.OK("REPLICAOF", host, port)
	for _, w := range []waiting{w, pops} {
		w.want("-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n")
		w.gone()
	}
	awaitSame(t, stranger, r)
	w = waitFor(t, r, 1, read...)
	stranger.Dial(t).Do("XADD", "s", "9-9", "f", "v")
	w.want(added("s", "9-9", "f", "v"))
}
