package replica

import (
	"strings"
	"testing"

	"dkv/tests/harness"
)

// TestOrphan: a replica that is started while its master is dead says how much of the
// master's history it has, by which the one to be promoted is chosen.
func TestOrphan(t *testing.T) {
	harness.NeedItself(t)
	for _, shards := range []string{"1", "3"} {
		t.Run(shards, func(t *testing.T) {
			source := harness.Dkv(t, "-shards", shards)
			replica := replicaOf(t, source)
			awaitUp(t, replica)
			s := source.Dial(t)
			for _, k := range []string{"a", "b", "c", "d", "e"} {
				s.OK("SET", k, "v")
			}
			s.Want(":1\r\n", "WAIT", "1", "0")
			offset := infoField(replica, "replication", "slave_repl_offset")
			source.Kill()
			replica.Kill()
			replica.MustStart(t)
			r := replica.Dial(t)
			info := r.Info("replication")
			if info["slave_repl_offset"] != offset || info["master_repl_offset"] != offset || info["master_link_status"] != "down" {
				t.Errorf("slave_repl_offset was %s: %v", offset, info)
			}
			if hello := string(r.Do("HELLO").Raw); !strings.Contains(hello, "$4\r\nrole\r\n$7\r\nreplica\r\n") {
				t.Errorf("HELLO on a replica: %q", hello)
			}
			r.OK("REPLICAOF", "NO", "ONE")
			if hello := string(r.Do("HELLO").Raw); !strings.Contains(hello, "$4\r\nrole\r\n$6\r\nmaster\r\n") {
				t.Errorf("HELLO of a master: %q", hello)
			}
		})
	}
}
