package compat

import (
	"strings"
	"testing"

	"dkv/tests/harness"
)

// Users are kept over kill -9, flushes do not touch them, and a requirepass that is given at
// the start is the default user's password whatever was said of it before.
func TestUsersOutliveRestart(t *testing.T) {
	harness.NeedItself(t)
	dir := t.TempDir()
	s := harness.DkvIn(t, dir)
	c := s.Dial(t)
	c.OK("ACL", "SETUSER", "bob", "on", ">pw", "~b*", "&c", "+@all", "-config", "(+config|get)")
	c.OK("ACL", "SETUSER", "default", ">own", "-flushdb", "resetpass", ">own")
	c.OK("FLUSHALL")
	c.Want(":0\r\n", "DBSIZE")
	list := string(c.Do("ACL", "LIST").Raw)
	s.Kill()

	s = harness.DkvIn(t, dir)
	c = s.Dial(t)
	c.Want("-NOAUTH Authentication required.\r\n", "ACL", "LIST")
	c.OK("AUTH", "own")
	if got := string(c.Do("ACL", "LIST").Raw); got != list {
		t.Errorf("users are\n%q, and were\n%q", got, list)
	}
	s.Kill()

	s = harness.DkvIn(t, dir, "-requirepass", "given")
	c = s.Dial(t)
	c.Want("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH", "own")
	c.OK("AUTH", "given")
	c.Want("-NOPERM User default has no permissions to run the 'flushdb' command\r\n", "FLUSHDB")
	c.OK("AUTH", "bob", "pw")
	c.Want("-NOPERM No permissions to access a channel\r\n", "SUBSCRIBE", "x")
	s.Kill()

	// The node's own users take their place, and give it back.
	s = harness.DkvIn(t, dir, "-user", "ann", "on", "nopass", "+@all", "~*")
	c = s.Dial(t)
	c.OK("AUTH", "ann", "x")
	if got := string(c.Do("ACL", "USERS").Raw); got != "*2\r\n$3\r\nann\r\n$7\r\ndefault\r\n" {
		t.Errorf("%q", got)
	}
	s.Kill()
	s = harness.DkvIn(t, dir, "-requirepass", "given")
	c = s.Dial(t)
	c.OK("AUTH", "given")
	if got := string(c.Do("ACL", "LIST").Raw); !strings.Contains(got, "user bob on") || strings.Contains(got, "user ann ") {
		t.Errorf("%q", got)
	}
}
