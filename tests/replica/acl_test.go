package replica

import (
	"testing"

	"dkv/tests/harness"
)

// A replica has its source's users, those from before it came and those made later, holds
// its clients to them, keeps them over a restart, and does not change them by itself.
func TestReplicaHasUsers(t *testing.T) {
	source := harness.Dkv(t)
	s := source.Dial(t)
	s.OK("ACL", "SETUSER", "before", "on", ">pw", "~a", "+get", "+ping")
	s.OK("SET", "a", "1")
	replica := replicaOf(t, source)
	awaitUp(t, replica)
	r := replica.Dial(t)
	awaitGet(t, r, "a", "1")
	hasUser := func(name string) func() bool {
		return func() bool { return string(r.Do("AUTH", name, "pw").Raw) == "+OK\r\n" }
	}
	harness.Until(t, patience, "the user from before", hasUser("before"))
	r.Want("$1\r\n1\r\n", "GET", "a")
	r.Want("-NOPERM No permissions to access a key\r\n", "GET", "b")
	r.Want("-NOPERM User before has no permissions to run the 'acl|setuser' command\r\n", "ACL", "SETUSER", "x")

	s.OK("ACL", "SETUSER", "after", "on", ">pw", "+@all")
	harness.Until(t, patience, "the user from later", hasUser("after"))
	r.Want(readOnly, "ACL", "SETUSER", "x")
	r.Want(readOnly, "ACL", "DELUSER", "before")
	s.Want(":1\r\n", "ACL", "DELUSER", "before")
	harness.Until(t, patience, "the user to go", func() bool {
		return len(r.Do("ACL", "USERS").Elems) == 2
	})
	replica.Kill()
	replica.MustStart(t)
	r = replica.Dial(t)
	r.OK("AUTH", "after", "pw")
}
