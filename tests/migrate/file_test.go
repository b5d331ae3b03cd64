package migrate

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// dkvctl runs the command-line client and returns what it says and its exit code.
func dkvctl(t *testing.T, s *harness.Server, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(harness.NeedDkv(t, "dkvctl"), append([]string{"-a", s.Addr()}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// dumpFile has a Redis server write its file and returns where that is.
func dumpFile(t *testing.T, s *harness.Server) string {
	t.Helper()
	c := s.Dial(t)
	c.SetDeadline(deadline())
	c.OK("SAVE")
	r := c.Do("CONFIG", "GET", "dir")
	return filepath.Join(string(r.Elems[1].Str), "dump.rdb")
}

// TestFiles: a file of a Redis server is imported, exported again, and loaded by
// another Redis server.
func TestFiles(t *testing.T) {
	harness.NeedItself(t)
	rng := seedOf(t)
	source := harness.Redis(t)
	fill(t, source, rng, 300)
	source.Dial(t).OK("SET", "gone soon", "x", "PX", "50")
	file := dumpFile(t, source)
	harness.Until(t, patience, "the key to expire", func() bool { return ask(source, "GET", "gone soon") == "" })
	d := harness.Dkv(t, "-fsync", "no")
	c := d.Dial(t)
	c.OK("SET", "s1", "is replaced")
	if out, code := dkvctl(t, d, "-import", file); code != 0 || !strings.Contains(out, "imported 7207 keys") {
		t.Fatalf("-import: %d, %s", code, out)
	}
	awaitSame(t, source, d)
	if n := c.DoInt("PEXPIRETIME", "h7"); n != source.Dial(t).DoInt("PEXPIRETIME", "h7") || n <= 0 {
		t.Errorf("the expiry of a key has become %d", n)
	}
	dir := t.TempDir()
	if out, code := dkvctl(t, d, "-export", filepath.Join(dir, "dump.rdb")); code != 0 || !strings.Contains(out, "exported 7207 keys") {
		t.Fatalf("-export: %d, %s", code, out)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("files are left over: %v, %v", entries, err)
	}
	again := redisOn(t, dir)
	awaitSame(t, source, again)
	if n := again.Dial(t).DoInt("PEXPIRETIME", "h7"); n != c.DoInt("PEXPIRETIME", "h7") {
		t.Errorf("the expiry of a key has become %d", n)
	}
}

// redisOn starts a Redis server that loads what is in a folder.
func redisOn(t *testing.T, dir string) *harness.Server {
	t.Helper()
	harness.NeedProgram(t, "redis-server", "redis-server")
	spec, err := harness.RedisSpec(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := harness.NewServer(spec)
	t.Cleanup(s.Kill)
	s.MustStart(t)
	harness.Until(t, patience, "the server to have loaded", func() bool { return infoField(s, "persistence", "loading") == "0" })
	return s
}

// TestEveryType imports a file with all types of Redis into a Redis server, and exports
// from one: what dkv does not have yet goes through dkvctl too.
func TestEveryType(t *testing.T) {
	harness.NeedItself(t)
	rng := seedOf(t)
	source := harness.Redis(t)
	fill(t, source, rng, 50)
	c := source.Dial(t)
	for i := range 3000 {
		c.Queue("RPUSH", "list", strconv.Itoa(i), strings.Repeat("item", i%50))
		c.Queue("XADD", "stream", "*", "n", strconv.Itoa(i), "f"+strconv.Itoa(i%3), "v")
	}
	c.Queue("XGROUP", "CREATE", "stream", "g", "0")
	c.Queue("XREADGROUP", "GROUP", "g", "c", "COUNT", "5", "STREAMS", "stream", ">")
	c.Queue("RPUSH", "list2", strings.Repeat("plain", 5000), "x")
	flush(t, c.Conn, 6003)
	target := harness.Redis(t)
	if out, code := dkvctl(t, target, "-import", dumpFile(t, source)); code != 0 {
		t.Fatalf("-import: %d, %s", code, out)
	}
	awaitSame(t, source, target)
	if a, b := ask(source, "XINFO", "GROUPS", "stream"), ask(target, "XINFO", "GROUPS", "stream"); a != b {
		t.Errorf("groups %q, want %q", b, a)
	}
	dir := t.TempDir()
	if out, code := dkvctl(t, source, "-export", filepath.Join(dir, "dump.rdb")); code != 0 {
		t.Fatalf("-export: %d, %s", code, out)
	}
	awaitSame(t, source, redisOn(t, dir))
}

// TestBrokenFile: nothing is sent of a file that is not whole.
func TestBrokenFile(t *testing.T) {
	harness.NeedItself(t)
	source := harness.Redis(t)
	source.Dial(t).OK("SET", "a", strings.Repeat("x", 1000))
	whole, err := os.ReadFile(dumpFile(t, source))
	if err != nil {
		t.Fatal(err)
	}
	d := harness.Dkv(t)
	path := filepath.Join(t.TempDir(), "x.rdb")
	for _, content := range [][]byte{whole[:len(whole)-9], bytes.Replace(whole, []byte("xx"), []byte("xy"), 1), []byte("hello"), nil} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := dkvctl(t, d, "-import", path); code != 1 || !strings.Contains(out, "nothing was sent") {
			t.Errorf("%.20q: %d, %s", content, code, out)
		}
	}
	if n := d.Dial(t).DoInt("DBSIZE"); n != 0 {
		t.Errorf("%d keys", n)
	}
	if out, code := dkvctl(t, d, "-import", path+".none"); code != 1 {
		t.Errorf("no file: %d, %s", code, out)
	}
	if out, code := dkvctl(t, d, "-export", filepath.Join(path, "none", "x")); code != 1 {
		t.Errorf("no folder: %d, %s", code, out)
	}
}

// TestImportNames the key that a server does not take.
func TestImportNamesKey(t *testing.T) {
	harness.NeedItself(t)
	source := harness.Redis(t, "--databases", "20")
	c := source.Dial(t)
	c.OK("SELECT", strconv.Itoa(18))
	c.OK("SET", "far away", "x")
	d := harness.Dkv(t)
	if out, code := dkvctl(t, d, "-import", dumpFile(t, source)); code != 1 || !strings.Contains(out, `key "far away"`) {
		t.Errorf("%d, %s", code, out)
	}
}

// TestRedisCLI: redis-cli gets an RDB file, which a Redis server loads. A Redis server
// that takes dkv for a master gets nothing.
func TestRedisCLI(t *testing.T) {
	harness.NeedItself(t)
	harness.NeedProgram(t, "redis-cli", "redis-tools")
	rng := seedOf(t)
	for _, flags := range [][]string{nil, {"-shards", "3"}} {
		d := harness.Dkv(t, append(flags, "-fsync", "no")...)
		fill(t, d, rng, 200)
		dir := t.TempDir()
		out, err := exec.Command("redis-cli", "-p", strconv.Itoa(d.Port()), "--rdb", filepath.Join(dir, "dump.rdb")).CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli --rdb: %v\n%s", err, out)
		}
		again := redisOn(t, dir)
		awaitSame(t, d, again)
		if n := again.Dial(t).DoInt("PEXPIRETIME", "h7"); n != d.Dial(t).DoInt("PEXPIRETIME", "h7") || n <= 0 {
			t.Errorf("the expiry of a key has become %d", n)
		}
		again.Dial(t).OK("REPLICAOF", "127.0.0.1", strconv.Itoa(d.Port()))
		harness.Until(t, patience, "the replica to be refused", func() bool { return strings.Contains(again.Logs(), "whose log a Redis replica cannot follow") })
		if got := infoField(again, "replication", "master_link_status"); got != "down" {
			t.Errorf("a Redis server follows dkv: %s", got)
		}
	}
}
