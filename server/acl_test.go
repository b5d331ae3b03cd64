package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dkv/server/command"
)

// login connects as a user.
func login(t testing.TB, s *Server, name, password string) *client {
	t.Helper()
	c := dial(t, s)
	if got := c.do("AUTH", name, password); got != "+OK\r\n" {
		t.Fatalf("AUTH %s: %q", name, got)
	}
	return c
}

// want sends words and expects a reply.
func (c *client) want(want string, words ...string) {
	c.t.Helper()
	if got := c.do(words...); got != want {
		c.t.Fatalf("%s: %q, want %q", strings.Join(words, " "), got, want)
	}
}

const (
	ok       = "+OK\r\n"
	noKey    = "-NOPERM No permissions to access a key\r\n"
	noChan   = "-NOPERM No permissions to access a channel\r\n"
	wrong    = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	noLogin  = "-NOAUTH Authentication required.\r\n"
	uncaught = "-NOPERM User bob has no permissions to run the '"
)

func noCommand(name string) string { return uncaught + name + "' command\r\n" }

func TestUserIsHeldToItsRules(t *testing.T) {
	s := startServer(t)
	admin := dial(t, s)
	admin.want(ok, "ACL", "SETUSER", "bob", "on", ">pw", "~b:*", "%R~r:*", "&ch*", "+@all", "-@dangerous", "+acl|whoami", "+sort")
	c := dial(t, s)
	c.want(wrong, "AUTH", "bob", "no")
	c.want(ok, "AUTH", "bob", "pw")
	for _, tt := range []struct{ send, want string }{
		{"ACL WHOAMI", "$3\r\nbob\r\n"},
		{"SET b:1 x", ok},
		{"SET r:1 x", noKey},
		{"GET r:1", "$-1\r\n"},
		{"GET x", noKey},
		{"MSET b:1 1 x 2", noKey},
		{"FLUSHALL", noCommand("flushall")},
		{"CONFIG GET x", noCommand("config|get")},
		{"ACL LIST", noCommand("acl|list")},
		{"PUBLISH x y", noChan},
		{"PUBLISH ch y", ":0\r\n"},
		{"SORT b:none BY w_*", "-ERR BY option of SORT denied due to insufficient ACL permissions.\r\n"},
		{"SORT b:none GET w_*", "-ERR GET option of SORT denied due to insufficient ACL permissions.\r\n"},
		{"SORT b:none BY nosort", "*0\r\n"},
		{"nosuch", "-ERR unknown command 'nosuch', with args beginning with: \r\n"},
		{"get", "-ERR wrong number of arguments for 'get' command\r\n"},
	} {
		c.want(tt.want, strings.Fields(tt.send)...)
	}
	// Who is off cannot log in, who has is not touched.
	admin.want(ok, "ACL", "SETUSER", "bob", "off")
	c.want("$3\r\nbob\r\n", "ACL", "WHOAMI")
	dial(t, s).want(wrong, "AUTH", "bob", "pw")
	c.want("+RESET\r\n", "RESET")
	c.want("$7\r\ndefault\r\n", "ACL", "WHOAMI")
}

func TestDeniedInTransaction(t *testing.T) {
	s := startServer(t)
	admin := dial(t, s)
	admin.want(ok, "ACL", "SETUSER", "bob", "on", "nopass", "~b", "~c", "+@all")
	c := login(t, s, "bob", "x")
	c.want(ok, "MULTI")
	c.want(noKey, "SET", "x", "1")
	c.want("-EXECABORT Transaction discarded because of previous errors.\r\n", "EXEC")
	// Rights that are lost before EXEC.
	const changed = "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. " +
		"This command is no longer allowed for the following reason: "
	for _, tt := range []struct {
		rules []string
		send  []string
		want  string
	}{
		{[]string{"resetkeys", "~b"}, []string{"SET b 1", "SET c 1", "PING", "GET b"},
			"*4\r\n+OK\r\n" + changed + "no permission to touch the specified keys\r\n+PONG\r\n$1\r\n1\r\n"},
		{[]string{"-set"}, []string{"SET b 1", "PING"}, "*2\r\n" + changed + "no permission to execute the command or subcommand\r\n+PONG\r\n"},
		{[]string{"-get"}, []string{"GET b"}, "*1\r\n" + changed + "no permission to execute the command or subcommand\r\n"},
	} {
		admin.want(ok, "ACL", "SETUSER", "bob", "resetkeys", "~b", "~c", "+@all")
		c.want(ok, "MULTI")
		for _, line := range tt.send {
			c.want("+QUEUED\r\n", strings.Fields(line)...)
		}
		admin.want(ok, append([]string{"ACL", "SETUSER", "bob"}, tt.rules...)...)
		c.want(tt.want, "EXEC")
	}
	admin.want("$-1\r\n", "GET", "c")
}

func TestScriptsAreHeldToTheirCaller(t *testing.T) {
	s := startServer(t)
	admin := dial(t, s)
	admin.want("$3\r\nlib\r\n", "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('put', function(k, a) return redis.call('set', k[1], a[1]) end)")
	admin.want(ok, "ACL", "SETUSER", "bob", "on", "nopass", "~b", "+@all", "-get")
	c := login(t, s, "bob", "x")
	const failed = "-NOPERM ACL failure in script: "
	c.want(ok, "EVAL", "return redis.call('set','b','1')", "0")
	if got := c.do("EVAL", "return redis.call('set','x','1')", "0"); !strings.HasPrefix(got, failed+"No permissions to access a key script: ") {
		t.Errorf("%q", got)
	}
	if got := c.do("EVAL", "return redis.call('get','b')", "0"); !strings.HasPrefix(got, failed+"User bob has no permissions to run the 'get' command script: ") {
		t.Errorf("%q", got)
	}
	c.want(failed+"No permissions to access a key\r\n", "EVAL", "return redis.pcall('set','x','1')", "0")
	c.want(failed+"User bob has no permissions to run the 'get' command\r\n", "EVAL_RO", "return redis.pcall('get','b')", "0")
	c.want(noKey, "FCALL", "put", "1", "x", "1")
	if got := c.do("FCALL", "put", "1", "b", "2"); got != ok {
		t.Errorf("%q", got)
	}
	for script, want := range map[string]string{
		"return redis.acl_check_cmd('set','b','1')":      ":1\r\n",
		"return redis.acl_check_cmd('set','x','1')":      "$-1\r\n",
		"return redis.acl_check_cmd('get','b')":          "$-1\r\n",
		"return redis.acl_check_cmd('config','get','x')": ":1\r\n",
	} {
		c.want(want, "EVAL", script, "0")
	}
	admin.want(":1\r\n", "EVAL", "return redis.acl_check_cmd('get','b')", "0")
	// In a transaction too, where it is an entry of the log.
	c.want(ok, "MULTI")
	c.want("+QUEUED\r\n", "EVAL", "return redis.pcall('set','x','1')", "0")
	c.want("*1\r\n"+failed+"No permissions to access a key\r\n", "EXEC")
	if log := admin.do("ACL", "LOG", "1"); !strings.Contains(log, "lua") || !strings.Contains(log, "user=bob") {
		t.Errorf("log: %q", log)
	}
}

func TestLostRightsEndWaitsAndSubscriptions(t *testing.T) {
	s := startServer(t)
	admin := dial(t, s)
	admin.want(ok, "ACL", "SETUSER", "bob", "on", "nopass", "~*", "&*", "+@all")
	blocked := login(t, s, "bob", "x")
	blocked.send(request("BLPOP", "list", "0"))
	eventually(t, "it waits", func() bool { return strings.Contains(admin.do("CLIENT", "LIST"), "flags=b") })
	admin.want(ok, "ACL", "SETUSER", "bob", "resetkeys")
	if got := blocked.reply(); got != noKey {
		t.Fatalf("%q", got)
	}
	admin.want(":1\r\n", "RPUSH", "list", "a")
	admin.want(":1\r\n", "LLEN", "list")
	blocked.want("+PONG\r\n", "PING")

	stays, goes := login(t, s, "bob", "x"), login(t, s, "bob", "x")
	stays.do("SUBSCRIBE", "news")
	goes.do("PSUBSCRIBE", "n*")
	admin.want(ok, "ACL", "SETUSER", "bob", "resetchannels", "&news", "&other*")
	if _, err := goes.r.ReadByte(); err == nil {
		t.Error("a subscriber to what it may not see goes on")
	}
	eventually(t, "its subscription ends", func() bool { return admin.do("PUBSUB", "NUMPAT") == ":0\r\n" })
	admin.want(":1\r\n", "PUBLISH", "news", "x")
	if got := stays.reply(); !strings.Contains(got, "news") {
		t.Errorf("%q", got)
	}

	// A user that is deleted.
	admin.want(":1\r\n", "ACL", "DELUSER", "bob", "nobody")
	for _, c := range []*client{stays, blocked} {
		if _, err := c.r.ReadByte(); err == nil {
			t.Error("a connection of a user that is no more goes on")
		}
	}
	admin.want(ok, "ACL", "SETUSER", "ann", "on", "nopass", "+@all")
	self := login(t, s, "ann", "x")
	self.want(":1\r\n", "ACL", "DELUSER", "ann")
	if _, err := self.r.ReadByte(); err == nil {
		t.Error("who deletes itself goes on")
	}
}

func TestRequirePassIsTheDefaultUsers(t *testing.T) {
	s := startServer(t, "requirepass", "secret")
	c := dial(t, s)
	c.want(noLogin, "GET", "a")
	c.want(ok, "AUTH", "secret")
	if got := c.do("ACL", "LIST"); !strings.Contains(got, "user default on sanitize-payload #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all") {
		t.Errorf("%q", got)
	}
	// Rules of the default user keep the password, a new one is added to it.
	c.want(ok, "ACL", "SETUSER", "default", "-flushall", ">two")
	for _, p := range []string{"secret", "two"} {
		dial(t, s).want(ok, "AUTH", p)
	}
	c.want("-NOPERM User default has no permissions to run the 'flushall' command\r\n", "FLUSHALL")
	c.want(ok, "CONFIG", "SET", "requirepass", "three")
	dial(t, s).want(wrong, "AUTH", "two")
	dial(t, s).want(ok, "AUTH", "three")
	// Another user does not change that.
	c.want(ok, "ACL", "SETUSER", "bob", "on", "nopass")
	dial(t, s).want(ok, "AUTH", "default", "three")
	c.want(ok, "ACL", "SETUSER", "default", "nopass", "+@all")
	dial(t, s).want(ok, "FLUSHALL")
	c.want(ok, "ACL", "SETUSER", "default", "off")
	dial(t, s).want(noLogin, "GET", "a")
}

func TestUsersOfLinesAndFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "users.acl")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("user bob on nopass +acl +get ~*\n")
	s := startServer(t, "aclfile", file)
	c, admin := login(t, s, "bob", "x"), dial(t, s)
	c.want(noCommand("set"), "SET", "a", "1")
	admin.want(ok, "ACL", "SETUSER", "ann", "on", "nopass", "+get")
	admin.want(ok, "ACL", "SAVE")
	text, err := os.ReadFile(file)
	want := "user ann on nopass sanitize-payload resetchannels -@all +get\nuser bob on nopass sanitize-payload ~* resetchannels -@all +acl +get\n" +
		"user default on nopass sanitize-payload ~* &* +@all\n"
	if err != nil || string(text) != want {
		t.Errorf("%q, %v", text, err)
	}
	write("user bob on nopass +nope\n")
	if got := admin.do("ACL", "LOAD"); !strings.HasPrefix(got, "-ERR "+file+":1: Error in applying operation '+nope': Unknown command or category name in ACL. WARNING: ACL errors detected") {
		t.Errorf("%q", got)
	}
	write("user bob on nopass +@all ~*\n")
	admin.want(ok, "ACL", "LOAD")
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("a connection outlives ACL LOAD")
	}
	login(t, s, "bob", "x").want(ok, "SET", "a", "1")
	admin.want("*2\r\n$3\r\nbob\r\n$7\r\ndefault\r\n", "ACL", "USERS")

	plain := dial(t, startServer(t))
	if got := plain.do("ACL", "SAVE"); !strings.HasPrefix(got, "-ERR This Redis instance is not configured to use an ACL file.") {
		t.Errorf("%q", got)
	}
}

func TestUserLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dkv.conf")
	if err := os.WriteFile(path, []byte("user bob on >pw ~b (+get ~x) +set\nport 0\nuser default on nopass +@all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := NewConfig()
	if _, err := c.LoadArgs([]string{path}); err != nil {
		t.Fatal(err)
	}
	c.setUserLines(func() []string { return []string{"user bob off"} })
	if got := c.rewritten("# head\nuser bob on\nport 0\n", false); got != "# head\nport 0\n\n# Generated by CONFIG REWRITE\nuser bob off\n" {
		t.Errorf("%q", got)
	}
	for line, want := range map[string]string{
		"user bob on >secret +nope": "Error in user declaration 'bob': Unknown command or category name in ACL",
		"user bob >secret #x":       "Error in user declaration 'bob': The password hash must be exactly 64 characters",
	} {
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := NewConfig().Load(path)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// Denials that are alike are counted in one entry; passwords are nowhere.
func TestDenialsAreLogged(t *testing.T) {
	s := startServer(t, "acllog-max-len", "3", "slowlog-log-slower-than", "0")
	admin := dial(t, s)
	admin.want(ok, "ACL", "SETUSER", "bob", "on", ">hidden1", "~b", "+@all", "-get")
	c := dial(t, s)
	c.want(wrong, "AUTH", "bob", "hidden2")
	c.want(wrong, "AUTH", "bob", "hidden2")
	c.want(ok, "AUTH", "bob", "hidden1")
	c.do("GET", "b")
	c.do("SET", "x", "1")
	log := admin.do("ACL", "LOG")
	for _, part := range []string{
		"*3\r\n", "$5\r\ncount\r\n:1\r\n$6\r\nreason\r\n$3\r\nkey\r\n$7\r\ncontext\r\n$8\r\ntoplevel\r\n$6\r\nobject\r\n$1\r\nx\r\n$8\r\nusername\r\n$3\r\nbob\r\n$11\r\nage-seconds\r\n",
		"$5\r\ncount\r\n:1\r\n$6\r\nreason\r\n$7\r\ncommand\r\n$7\r\ncontext\r\n$8\r\ntoplevel\r\n$6\r\nobject\r\n$3\r\nget\r\n",
		"$5\r\ncount\r\n:2\r\n$6\r\nreason\r\n$4\r\nauth\r\n$7\r\ncontext\r\n$8\r\ntoplevel\r\n$6\r\nobject\r\n$4\r\nAUTH\r\n", "entry-id\r\n:2\r\n", "user=bob", "cmd=set",
	} {
		if !strings.Contains(log, part) {
			t.Errorf("%q is not in %q", part, log)
		}
	}
	c.do("SET", "y", "1")
	if log = admin.do("ACL", "LOG", "99"); !strings.HasPrefix(log, "*3\r\n") || strings.Contains(log, "AUTH") {
		t.Errorf("more than the limit: %q", log)
	}
	if got := admin.do("INFO", "stats"); !strings.Contains(got, "acl_access_denied_auth:2\r\nacl_access_denied_cmd:1\r\nacl_access_denied_key:2\r\nacl_access_denied_channel:0\r\n") {
		t.Errorf("%q", got)
	}
	if slow := admin.do("SLOWLOG", "GET", "99") + log; strings.Contains(slow, "hidden") {
		t.Errorf("a password is told: %q", slow)
	}
	admin.want(ok, "ACL", "LOG", "RESET")
	admin.want("*0\r\n", "ACL", "LOG")
	if got := admin.do("CLIENT", "LIST"); !strings.Contains(got, "user=bob") {
		t.Errorf("%q", got)
	}
	admin.want("-ERR No such user 'nobody'\r\n", "CLIENT", "KILL", "USER", "nobody")
	admin.want(":1\r\n", "CLIENT", "KILL", "USER", "bob")
}

func BenchmarkAdmitted(b *testing.B) {
	s := startServer(b)
	admin := dial(b, s)
	admin.want(ok, "ACL", "SETUSER", "bob", "on", "nopass", "~key:*", "+@all", "-@dangerous")
	for _, name := range []string{"default", "bob"} {
		b.Run(name, func(b *testing.B) {
			c := &Conn{srv: s, ws: new(workspace)}
			c.account.Store(s.users.get(name))
			c.authed, c.proto = true, 2
			args := [][]byte{[]byte("get"), []byte("key:1")}
			b.ReportAllocs()
			for b.Loop() {
				if _, refusal := c.admitted(args); refusal != "" {
					b.Fatal(refusal)
				}
			}
		})
	}
}

// Every command with keys says of each what it does with it, so that rules about reading and
// writing can be told apart.
func TestKeysHaveFlags(t *testing.T) {
	for _, spec := range command.All() {
		for _, k := range spec.KeySpecs {
			const one = command.KeyRO | command.KeyRW | command.KeyOW | command.KeyRM
			if f := k.Flags & one; k.Flags&command.KeyNotKey == 0 && (f == 0 || f&(f-1) != 0) {
				t.Errorf("%s: %v", spec.Name, k.Flags.Names())
			}
			if spec.Group == command.GroupHyperLogLog {
				continue // PFCOUNT is said to change its keys: it keeps the count there, in Redis
			}
			if k.Flags&(command.KeyRW|command.KeyOW|command.KeyRM) != 0 && k.Flags&(command.KeyUpdate|command.KeyInsert|command.KeyDelete) == 0 {
				t.Errorf("%s changes a key, and no flag says how: %v", spec.Name, k.Flags.Names())
			}
		}
	}
}

// AUTH in a transaction changes who the scripts behind it are run for, and SORT with patterns,
// on each node of a cluster.
func TestScriptsBehindAuthInTransaction(t *testing.T) {
	servers := startCluster(t, 3, 1)
	admin := dial(t, servers[0])
	admin.want(ok, "ACL", "SETUSER", "all", "on", ">pa", "~*", "+@all")
	admin.want(ok, "ACL", "SETUSER", "few", "on", ">pf", "~k*", "+@all", "-get")
	admin.want(ok, "ACL", "SETUSER", "put", "on", ">pp", "~k*", "+@all", "-set")
	admin.want(":1\r\n", "RPUSH", "klist", "1")
	get := []string{"EVAL", "return redis.pcall('get',KEYS[1])", "1", "k"}
	set := []string{"EVAL", "return redis.pcall('set',KEYS[1],'v')", "1", "k"}
	const value, no = "$1\r\nv\r\n", "-NOPERM ACL failure in script: User "
	const noGet, noSet = no + "few has no permissions to run the 'get' command\r\n", no + "put has no permissions to run the 'set' command\r\n"
	for i, s := range servers {
		for _, name := range []string{"all", "few", "put", "default"} {
			eventually(t, "the users are known", func() bool { return strings.Contains(admin.do("ACL", "LIST"), name) && s.users.get(name) != nil })
		}
		for _, tt := range []struct {
			name string
			user [2]string
			send [][]string
			want string
		}{
			{"from all to few", [2]string{"all", "pa"}, [][]string{set, get, {"AUTH", "few", "pf"}, get, {"SET", "k", "v"}}, ok + value + ok + noGet + ok},
			{"from few to all", [2]string{"few", "pf"}, [][]string{get, {"AUTH", "all", "pa"}, set, get}, noGet + ok + ok + value},
			{"between two", [2]string{"few", "pf"}, [][]string{get, {"AUTH", "put", "pp"}, get, set, {"AUTH", "few", "pf"}, get, set},
				noGet + ok + value + noSet + ok + noGet + ok},
			{"a wrong password", [2]string{"few", "pf"}, [][]string{get, {"AUTH", "all", "no"}, get, set}, noGet + wrong + noGet + ok},
			{"SORT", [2]string{"all", "pa"}, [][]string{{"SORT", "klist", "GET", "w*", "STORE", "kto"}, {"AUTH", "few", "pf"}, {"SORT", "klist", "GET", "w*", "STORE", "kto"}},
				":1\r\n" + ok + "-ERR GET option of SORT denied due to insufficient ACL permissions.\r\n"},
			{"SORT by HELLO", [2]string{"all", "pa"}, [][]string{{"AUTH", "few", "pf"}, {"AUTH", "all", "pa"}, {"SORT", "klist", "GET", "w*", "STORE", "kto"}}, ok + ok + ":1\r\n"},
		} {
			c := login(t, s, tt.user[0], tt.user[1])
			c.want(ok, "MULTI")
			for _, words := range tt.send {
				c.want("+QUEUED\r\n", words...)
			}
			if got, want := c.do("EXEC"), fmt.Sprintf("*%d\r\n", len(tt.send))+tt.want; got != want {
				t.Errorf("node %d, %s: %q, want %q", i, tt.name, got, want)
			}
		}
	}
}
