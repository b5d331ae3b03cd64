package limits

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"dkv/tests/harness"
)

// Ten thousand clients that wait for lists cost the server no busy work and bounded
// memory each, and are served in the order in which they came.
func TestTenThousandBlocked(t *testing.T) {
	harness.NeedLong(t)
	const (
		clients = 10_000
		shared  = clients / 2 // wait for one key, the others for one each
		// perClient is what one may take: its connection's memory, the stack of the
		// goroutine that waits, its request.
		perClient = 40 << 10
		quiet     = 3 * time.Second
		busyLimit = 300 * time.Millisecond // of a processor, in the quiet time
	)
	srv := harness.Dkv(t, "-fsync", "no", "-maxclients", strconv.Itoa(clients+100))
	c := srv.Dial(t)
	c.SetDeadline(time.Now().Add(replyLimit))
	before := usedMemory(c)
	var waiting []*harness.TestConn
	for i := range clients {
		w := srv.Dial(t)
		w.SetDeadline(time.Now().Add(replyLimit))
		key := "shared"
		if i >= shared {
			key = fmt.Sprint("own:", i)
		}
		w.Queue("BLPOP", "nothing", key, "0")
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, w)
		if i == 0 || i == shared-1 { // so that it is known who came first
			harness.Until(t, replyLimit, "blocked clients", func() bool { return blockedClients(c) == int64(i+1) })
		}
	}
	harness.Until(t, replyLimit, "blocked clients", func() bool { return blockedClients(c) == clients })
	each := (usedMemory(c) - before) / clients
	t.Logf("%d bytes for each that waits", each)
	if each > perClient && !harness.StandIn() {
		t.Errorf("%d bytes each, more than %d", each, perClient)
	}
	// Who waits busily does so all the time. What is left of their coming, a garbage
	// collection for instance, is over soon.
	busy := quiet
	for try := 0; try < 5 && busy > busyLimit; try++ {
		began := cpuSeconds(t, c)
		time.Sleep(quiet) // nothing happens for so long
		busy = time.Duration((cpuSeconds(t, c) - began) * float64(time.Second))
		t.Logf("%v of a processor in %v", busy, quiet)
	}
	if busy > busyLimit {
		t.Errorf("those who wait took %v of a processor in %v", busy, quiet)
	}
	// One command serves half of them, and a pipeline the others.
	args := []string{"RPUSH", "shared"}
	for i := range shared {
		args = append(args, strconv.Itoa(i))
	}
	c.Want(fmt.Sprintf(":%d\r\n", shared), args...)
	pipelined(t, c, clients-shared, func(i int) []string { return []string{"RPUSH", fmt.Sprint("own:", shared+i), strconv.Itoa(shared + i)} })
	seen := make(map[string]bool)
	for i, w := range waiting {
		r, err := w.Read()
		if err != nil || len(r.Elems) != 2 || seen[string(r.Elems[1].Str)] {
			t.Fatalf("client %d: %s, %v", i, r, err)
		}
		got := string(r.Elems[1].Str)
		if seen[got] = true; (i == 0 || i >= shared) && got != strconv.Itoa(i) {
			t.Errorf("client %d got %s", i, got)
		}
	}
	if n := c.DoInt("DBSIZE"); n != 0 || blockedClients(c) != 0 {
		t.Errorf("%d keys are left, and %d blocked clients", n, blockedClients(c))
	}
}

func blockedClients(c *harness.TestConn) int64 { return infoInt(c, "clients", "blocked_clients") }

// usedMemory is what is live, garbage left out; Redis has none.
func usedMemory(c *harness.TestConn) int64 {
	if harness.StandIn() {
		return infoInt(c, "memory", "used_memory")
	}
	return infoInt(c, "memory", "dkv_memory_live")
}

func infoInt(c *harness.TestConn, section, field string) int64 {
	n, _ := strconv.ParseInt(c.Info(section)[field], 10, 64)
	return n
}

// cpuSeconds is how long the server has kept processors busy.
func cpuSeconds(t *testing.T, c *harness.TestConn) (sum float64) {
	t.Helper()
	info := c.Info("cpu")
	for _, field := range []string{"used_cpu_user", "used_cpu_sys"} {
		f, err := strconv.ParseFloat(info[field], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += f
	}
	return sum
}
