package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dkv/cluster"
)

// What the subcommands of ACL reply, and refuse.
func TestACLReplies(t *testing.T) {
	c := dial(t, startServer(t))
	c.want(ok, "ACL", "SETUSER", "bob", "on", "nopass", "~b", "%R~r", "&b", "+@all", "-incr", "(+incr ~n)")
	const bits = "-ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096\r\n"
	const noDefault = "-ERR The 'default' user cannot be removed\r\n"
	told := func(s string) string { return oneBulk("User bob has no permissions to " + s) }
	for line, want := range map[string]string{
		"DRYRUN nobody get a":      "-ERR User 'nobody' not found\r\n",
		"DRYRUN bob":               "-ERR wrong number of arguments for 'acl|dryrun' command\r\n",
		"DRYRUN bob nosuch":        "-ERR Command 'nosuch' not found\r\n",
		"DRYRUN bob config nosuch": "-ERR Command 'config' not found\r\n",
		"DRYRUN bob config":        "-ERR wrong number of arguments for 'config' command\r\n",
		"DRYRUN bob get":           "-ERR wrong number of arguments for 'get' command\r\n",
		"DRYRUN bob get x":         told("access the 'x' key"),
		"DRYRUN bob get b":         ok,
		"DRYRUN bob get r":         ok,
		"DRYRUN bob set r 1":       told("access the 'r' key"),
		"DRYRUN bob incr b":        told("access the 'b' key"), // the selector comes nearer
		"DRYRUN bob incr n":        ok,
		"DRYRUN bob publish c m":   told("access the 'c' channel"),
		"DRYRUN bob publish b m":   ok,
		"DRYRUN bob config get x":  ok,
		"DRYRUN bob mget b x":      told("access the 'x' key"),
		"DRYRUN bob incr":          "-ERR wrong number of arguments for 'incr' command\r\n",
		"DRYRUN bob eval x 1 x":    told("access the 'x' key"),
		"DELUSER default":          noDefault,
		"DELUSER bob default":      noDefault,
		"GETUSER nobody":           "$-1\r\n",
		"GENPASS 0":                bits,
		"GENPASS -1":               bits,
		"GENPASS 4097":             bits,
		"GENPASS x":                "-ERR value is not an integer or out of range\r\n",
		"GENPASS 1 2":              "-ERR unknown subcommand or wrong number of arguments for 'GENPASS'. Try ACL HELP.\r\n",
		"CAT nosuch":               "-ERR Unknown category 'nosuch'\r\n",
		"CAT a b":                  "-ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.\r\n",
		"WHOAMI":                   "$7\r\ndefault\r\n",
		"USERS":                    "*2\r\n$3\r\nbob\r\n$7\r\ndefault\r\n",
		"SETUSER bob (+get":        "-ERR Unmatched parenthesis in acl selector starting at '(+get'.\r\n",
		"SETUSER bob +get|a +nope": "-ERR Error in ACL SETUSER modifier '+nope': Unknown command or category name in ACL\r\n",
	} {
		if got := c.do(append([]string{"ACL"}, strings.Fields(line)...)...); got != want {
			t.Errorf("ACL %s: %q, want %q", line, got, want)
		}
	}
	c.want("-ERR Usernames can't contain spaces or null characters\r\n", "ACL", "SETUSER", "a b")
	c.want("-ERR Usernames can't contain spaces or null characters\r\n", "ACL", "SETUSER", "a\x00b")
	for n, digits := range map[string]int{"1": 1, "4": 1, "5": 2, "8": 2, "4096": 1024} {
		if got := c.do("ACL", "GENPASS", n); len(got[strings.Index(got, "\r\n")+2:]) != digits+2 {
			t.Errorf("GENPASS %s: %q", n, got)
		}
	}
	if got := c.do("ACL", "CAT", "blocking"); !strings.Contains(got, oneBulk("blpop")) || strings.Contains(got, oneBulk("lpop")) {
		t.Errorf("CAT blocking: %q", got)
	}
	if got := c.do("ACL", "CAT"); !strings.Contains(got, oneBulk("keyspace")) || !strings.HasPrefix(got, "*21\r\n") {
		t.Errorf("CAT: %q", got)
	}
}

// A file that cannot be taken changes nothing, one that leaves the default user out has it
// as it is at first.
func TestFilesOfUsers(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "users.acl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write("user bob on nopass +@all ~*\n")
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "dir", dir, "aclfile", "users.acl")
	admin, bob := dial(t, s), login(t, s, "bob", "x")
	admin.want(ok, "ACL", "SETUSER", "default", "-flushall")
	admin.want(ok, "ACL", "SAVE")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file's mode: %v, %v", info.Mode(), err)
	}
	const kept = " WARNING: ACL errors detected, no change to the previously active ACL rules was performed\r\n"
	for text, want := range map[string]string{
		"user bob on nopass +@all\nuser bob off\n": "-ERR WARNING: Duplicate user 'bob' found on line 2." + kept,
		"user\n":                    "-ERR " + file + ":1 should start with user keyword followed by the username." + kept,
		"users bob on\n":            "-ERR " + file + ":1 should start with user keyword followed by the username." + kept,
		"\nuser b\tb on\n":          "-ERR '" + file + ":2: username 'b\tb' contains invalid characters." + kept,
		"user bob %X~p\n":           "-ERR " + file + ":1: Syntax error." + kept,
		"user bob allkeys ~p\n":     "-ERR " + file + ":1: Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns." + kept,
		"user bob (+get\n":          "-ERR " + file + ":1: Unmatched parenthesis in selector definition." + kept[1:],
		"user bob +get|\n":          "-ERR " + file + ":1: Syntax error." + kept,
		"user bob +config|get|x\n":  "-ERR " + file + ":1: Allowing first-arg of a subcommand is not supported." + kept,
		"user bob -nope >secret #x": "-ERR " + file + ":1: Error in applying operation '-nope': Unknown command or category name in ACL. " + file + ":1: The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters." + kept,
	} {
		write(text)
		if got := admin.do("ACL", "LOAD"); got != want {
			t.Errorf("%q:\n got %q\nwant %q", text, got, want)
		}
	}
	if err := os.Truncate(file, maxACLFile+1); err != nil {
		t.Fatal(err)
	}
	if got := admin.do("ACL", "LOAD"); !strings.HasPrefix(got, "-ERR Error loading ACLs, opening file '"+file+"': it is larger than ") {
		t.Errorf("a large file: %q", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	admin.want("-ERR Error loading ACLs, opening file '"+file+"': no such file or directory\r\n", "ACL", "LOAD")
	admin.want("-NOPERM User default has no permissions to run the 'flushall' command\r\n", "FLUSHALL")
	bob.want("$3\r\nbob\r\n", "ACL", "WHOAMI")
	write("user ann on nopass +get\n")
	admin.want(ok, "ACL", "LOAD")
	admin.want(ok, "FLUSHALL")
	admin.want("*2\r\n$3\r\nann\r\n$7\r\ndefault\r\n", "ACL", "USERS")
	bob.expectEOF()

	plain := dial(t, startServer(t))
	for _, sub := range []string{"LOAD", "SAVE"} {
		if got := plain.do("ACL", sub); !strings.HasPrefix(got, "-ERR This Redis instance is not configured to use an ACL file.") {
			t.Errorf("ACL %s: %q", sub, got)
		}
	}
}

// Users come from one place.
func TestUsersInTwoPlaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dkv.conf")
	if err := os.WriteFile(path, []byte("user bob on\naclfile users.acl\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := NewConfig()
	if _, err := config.Load(path); err != nil {
		t.Fatal(err)
	}
	node, err := cluster.Open(cluster.Options{Diskless: true})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	if _, err := New(Options{Node: node, Config: config}); err == nil || !strings.Contains(err.Error(), "use one of them") {
		t.Errorf("users in lines and in a file: %v", err)
	}
}
