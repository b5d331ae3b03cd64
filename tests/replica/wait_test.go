package replica

import (
	"strconv"
	"testing"

	"dkv/tests/harness"
)

// TestWait: WAIT counts the replicas that have this client's writes.
func TestWait(t *testing.T) {
	source := harness.Dkv(t)
	s := source.Dial(t)
	s.Want(":0\r\n", "WAIT", "0", "0")
	a, b := replicaOf(t, source), replicaOf(t, source, "-fsync", "no")
	awaitUp(t, a)
	awaitUp(t, b)
	for i := range 20 {
		s.OK("SET", "k", strconv.Itoa(i))
		s.Want(":2\r\n", "WAIT", "2", "0")
		for _, r := range []*harness.Server{a, b} {
			r.Dial(t).Want("$"+strconv.Itoa(len(strconv.Itoa(i)))+"\r\n"+strconv.Itoa(i)+"\r\n", "GET", "k")
		}
	}
	s.OK("MULTI")
	s.Want("+QUEUED\r\n", "WAIT", "5", "0")
	if r := s.Do("EXEC"); len(r.Elems) != 1 {
		t.Errorf("WAIT in a transaction: %s", r)
	}
	s.Want(":2\r\n", "WAIT", "3", "50")
	b.Kill()
	s.OK("SET", "k", "x")
	s.Want(":1\r\n", "WAIT", "2", "300")

	// On the disk of the one that syncs always.
	s.OK("SET", "k", "y")
	s.Want("*2\r\n:1\r\n:1\r\n", "WAITAOF", "1", "1", "0")
	a.Dial(t).Want("-ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.\r\n", "WAITAOF", "0", "0", "0")
	if r := a.Dial(t).Do("WAIT", "1", "0"); !r.IsError() {
		t.Errorf("WAIT on a replica: %s", r)
	}
}

// TestMinReplicas: writes are refused while there are not enough replicas.
func TestMinReplicas(t *testing.T) {
	source := harness.Dkv(t, "-min-replicas-to-write", "1", "-min-replicas-max-lag", "3")
	s := source.Dial(t)
	s.Want("-NOREPLICAS Not enough good replicas to write.\r\n", "SET", "k", "v")
	s.Want("$-1\r\n", "GET", "k")
	replica := replicaOf(t, source)
	awaitUp(t, replica)
	harness.Until(t, patience, "writes to be taken", func() bool { return !s.Do("SET", "k", "v").IsError() })
	replica.Kill()
	harness.Until(t, patience, "writes to be refused", func() bool { return s.Do("SET", "k", "v").IsError() })
	s.OK("CONFIG", "SET", "min-replicas-to-write", "0")
	s.OK("SET", "k", "v")
}

// TestStaleData: a replica without its source serves what it has, or nothing.
func TestStaleData(t *testing.T) {
	source := harness.Dkv(t)
	source.Dial(t).OK("SET", "k", "v")
	replica := replicaOf(t, source)
	awaitUp(t, replica)
	r := replica.Dial(t)
	awaitGet(t, r, "k", "v")
	source.Kill()
	harness.Until(t, patience, "the link to be down", func() bool { return infoField(replica, "replication", "master_link_status") == "down" })
	r.Want("$1\r\nv\r\n", "GET", "k")
	r.OK("CONFIG", "SET", "replica-serve-stale-data", "no")
	const down = "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n"
	r.Want(down, "GET", "k")
	if r := r.Do("INFO", "replication"); r.IsError() {
		t.Errorf("INFO: %s", r)
	}
	r.OK("CONFIG", "SET", "replica-serve-stale-data", "yes")
	r.Want("$1\r\nv\r\n", "GET", "k")
	r.OK("CONFIG", "SET", "replica-serve-stale-data", "no")
	source.MustStart(t)
	awaitUp(t, replica)
	r.Want("$1\r\nv\r\n", "GET", "k")
}
