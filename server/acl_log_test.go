package server

import (
	"fmt"
	"strings"
	"testing"

	"dkv/resp"
	"dkv/server/acl"
)

// Denials that are alike, and not a minute apart, are one entry, which moves to the front.
func TestDenialsAreGrouped(t *testing.T) {
	const at = 1_700_000_000_000
	base := func() denial {
		return denial{count: 1, reason: acl.DeniedKey, context: contextTop, object: "o", user: "u", client: "first", created: at, updated: at}
	}
	for name, tt := range map[string]struct {
		change  func(d *denial)
		between int // other denials since
		alike   bool
	}{
		"the same":           {func(*denial) {}, 0, true},
		"another client":     {func(d *denial) { d.client = "second" }, 0, true},
		"a minute later":     {func(d *denial) { d.updated += aclLogInterval }, 0, true},
		"more than a minute": {func(d *denial) { d.updated += aclLogInterval + 1 }, 0, false},
		"a minute before":    {func(d *denial) { d.updated -= aclLogInterval + 1 }, 0, false},
		"another reason":     {func(d *denial) { d.reason = acl.DeniedCommand }, 0, false},
		"another context":    {func(d *denial) { d.context = contextMulti }, 0, false},
		"another object":     {func(d *denial) { d.object = "p" }, 0, false},
		"another user":       {func(d *denial) { d.user = "v" }, 0, false},
		"behind nine":        {func(*denial) {}, aclLogScan - 1, true},
		"behind ten":         {func(*denial) {}, aclLogScan, false},
	} {
		l := &aclLog{config: NewConfig()}
		first, second := base(), base()
		l.add(&first)
		for i := range tt.between {
			d := base()
			d.object = fmt.Sprint("between", i)
			l.add(&d)
		}
		tt.change(&second)
		second.created = second.updated
		l.add(&second)
		list := l.newest(100)
		want := second
		want.id = int64(tt.between) + 1
		if tt.alike {
			want.id, want.count, want.created = 0, 2, at
		}
		if list[0] != want {
			t.Errorf("%s: %+v, want %+v", name, list[0], want)
		}
		entries := 2 + tt.between
		if tt.alike {
			entries--
		}
		seen := make(map[int64]bool)
		for i, d := range list {
			if seen[d.id] {
				t.Errorf("%s: two entries are %d", name, d.id)
			}
			if seen[d.id] = true; i > 1 && d.id > list[i-1].id {
				t.Errorf("%s: %d stands behind %d", name, d.id, list[i-1].id)
			}
		}
		if len(list) != entries {
			t.Errorf("%s: %d entries, want %d", name, len(list), entries)
		}
	}
}

func TestDenialAsReplied(t *testing.T) {
	d := denial{id: 7, count: 3, reason: acl.DeniedChannel, context: contextScript, object: "c", user: "u", client: "id=1", created: 1000, updated: 4500}
	w := resp.Writer{Proto: 2}
	d.reply(&w, 6000)
	want := "*20\r\n" + oneBulk("count") + ":3\r\n"
	for _, s := range []string{"reason", "channel", "context", "lua", "object", "c", "username", "u", "age-seconds", "1.5", "client-info", "id=1", "entry-id"} {
		want += oneBulk(s)
	}
	want += ":7\r\n" + oneBulk("timestamp-created") + ":1000\r\n" + oneBulk("timestamp-last-updated") + ":4500\r\n"
	if got := string(w.Buf); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// What is noted of denials of all sorts, and how much of it is shown.
func TestWhatTheLogTells(t *testing.T) {
	s := startServer(t)
	admin := dial(t, s)
	admin.want(ok, "ACL", "SETUSER", "bob", "on", "nopass", "~b", "&b", "+@all", "-incr", "-config|get")
	c := login(t, s, "bob", "x")
	newest := func(reason, context, object string) {
		t.Helper()
		part := oneBulk("reason") + oneBulk(reason) + oneBulk("context") + oneBulk(context) + oneBulk("object") + oneBulk(object) + oneBulk("username") + oneBulk("bob")
		if got := admin.do("ACL", "LOG", "1"); !strings.HasPrefix(got, "*1\r\n") || !strings.Contains(got, part) {
			t.Errorf("%q, want %q", got, part)
		}
	}
	c.do("CONFIG", "GET", "x")
	newest("command", "toplevel", "config|get")
	c.do("MGET", "b", "y", "z")
	newest("key", "toplevel", "y")
	c.do("PUBLISH", "c", "m")
	newest("channel", "toplevel", "c")
	c.want(ok, "MULTI")
	c.do("SET", "x", "1")
	newest("key", "multi", "x")
	c.do("EXEC")
	c.do("EVAL", "return redis.pcall('incr', 'b')", "0")
	newest("command", "lua", "incr")
	if got := admin.do("ACL", "LOG", "1"); !strings.Contains(got, "cmd=eval ") {
		t.Errorf("the client's command: %q", got)
	}
	c.do("EVAL", "return redis.pcall('get', 'q')", "0")
	newest("key", "lua", "q")
	long := strings.Repeat("k", maxLogObject+1)
	c.do("GET", long)
	newest("key", "toplevel", long[1:])
	if got := admin.do("INFO", "stats"); !strings.Contains(got, "acl_access_denied_auth:0\r\nacl_access_denied_cmd:2\r\nacl_access_denied_key:4\r\nacl_access_denied_channel:1\r\n") {
		t.Errorf("%q", got)
	}
	for i := range 8 {
		c.do("GET", fmt.Sprint("more", i))
	}
	for args, want := range map[string]string{
		"":         "*10\r\n",
		" 3":       "*3\r\n",
		" 99":      "*15\r\n",
		" 0":       "*0\r\n",
		" -1":      "*0\r\n",
		" x":       "-ERR value is not an integer or out of range\r\n",
		" 1 2":     "-ERR unknown subcommand or wrong number of arguments for 'LOG'. Try ACL HELP.\r\n",
		" RESET 1": "-ERR unknown subcommand or wrong number of arguments for 'LOG'. Try ACL HELP.\r\n",
	} {
		if got := admin.do(strings.Fields("ACL LOG" + args)...); !strings.HasPrefix(got, want) {
			t.Errorf("ACL LOG%s: %.100q, want %q", args, got, want)
		}
	}
}

// Who logs in as another user within a transaction has that user's rights for what comes
// behind it, whoever it was before.
func TestLoginInTransaction(t *testing.T) {
	const denied = "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. " +
		"This command is no longer allowed for the following reason: no permission to "
	const noKeys, noRight = denied + "touch the specified keys\r\n", denied + "execute the command or subcommand\r\n"
	s := startServer(t)
	admin := dial(t, s)
	admin.want(ok, "ACL", "SETUSER", "bob", "on", "nopass", "~b", "+@all", "-incr")
	admin.want(ok, "ACL", "SETUSER", "ann", "on", "nopass", "~b", "~x", "+@all")
	for _, as := range []string{"default", "ann"} {
		for _, tt := range []struct {
			send []string
			want string
		}{
			{[]string{"SET x 1", "AUTH bob x", "SET x 2", "SET b 1", "INCR b", "ACL WHOAMI"}, "*6\r\n" + ok + ok + noKeys + ok + noRight + "$3\r\nbob\r\n"},
			{[]string{"AUTH bob x", "GET x"}, "*2\r\n" + ok + noKeys},
			{[]string{"AUTH bob x", "AUTH ann x", "GET x"}, "*3\r\n" + ok + ok + "$1\r\n1\r\n"},
			{[]string{"AUTH bob x", "INCR b", "PING"}, "*3\r\n" + ok + noRight + "+PONG\r\n"},
		} {
			c := dial(t, s)
			if as != "default" {
				c.want(ok, "AUTH", as, "x")
			}
			c.want(ok, "MULTI")
			for _, line := range tt.send {
				c.want("+QUEUED\r\n", strings.Fields(line)...)
			}
			if got := c.do("EXEC"); got != tt.want {
				t.Errorf("%s: %q\n got %q\nwant %q", as, tt.send, got, tt.want)
			}
		}
		c := dial(t, s)
		c.want(ok, "MULTI")
		c.want("+QUEUED\r\n", "HELLO", "2", "AUTH", "bob", "x")
		c.want("+QUEUED\r\n", "GET", "x")
		if got := c.do("EXEC"); !strings.HasPrefix(got, "*2\r\n*14\r\n") || !strings.HasSuffix(got, noKeys) {
			t.Errorf("HELLO: %q", got)
		}
	}
	if got := admin.do("ACL", "LOG", "1"); !strings.Contains(got, oneBulk("multi")) || !strings.Contains(got, oneBulk("x")) {
		t.Errorf("%q", got)
	}
	admin.want(ok, "CONFIG", "SET", "requirepass", "pw")
	admin.want(ok, "ACL", "SETUSER", "default", "resetkeys", "~d")
	c := login(t, s, "ann", "x")
	c.want(ok, "MULTI")
	c.want("+QUEUED\r\n", "AUTH", "pw")
	c.want("+QUEUED\r\n", "GET", "x")
	c.want("*2\r\n"+ok+noKeys, "EXEC")
}
