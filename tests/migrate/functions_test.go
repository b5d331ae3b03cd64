package migrate

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// libraries gives a server functions.
func libraries(t *testing.T, s *harness.Server) {
	t.Helper()
	c := s.Dial(t)
	for _, code := range []string{
		"#!lua name=first\nredis.register_function{function_name='hello', callback=function(keys, args) return 'hello ' .. args[1] end, flags={'no-writes'}}",
		"#!lua name=second\nredis.register_function{function_name='put', callback=function(keys, args) return redis.call('SET', keys[1], args[1]) end}\n" +
			strings.Repeat("-- the same again, so that it is compressed\n", 50),
	} {
		if r := c.Do("FUNCTION", "LOAD", code); r.IsError() {
			t.Fatalf("%s", r.Str)
		}
	}
	c.OK("FCALL", "put", "1", "key", "value")
}

// hasLibraries checks that a server has those functions and no others.
func hasLibraries(t *testing.T, s *harness.Server) {
	t.Helper()
	c := s.Dial(t)
	c.Want("$11\r\nhello world\r\n", "FCALL", "hello", "0", "world")
	c.Want("$5\r\nvalue\r\n", "GET", "key")
	if r := c.Do("FUNCTION", "LIST"); len(r.Elems) != 2 {
		t.Errorf("FUNCTION LIST: %s", r)
	}
}

// TestFunctions: functions come with the data, in the stream and in files, and are
// there after a restart.
func TestFunctions(t *testing.T) {
	harness.NeedItself(t)
	for _, shards := range []string{"1", "3"} {
		source := harness.Redis(t)
		libraries(t, source)
		d := harness.Dkv(t, "-shards", shards)
		dc := d.Dial(t)
		if r := dc.Do("FUNCTION", "LOAD", "#!lua name=mine\nredis.register_function('mine', function() return 1 end)"); r.IsError() {
			t.Fatalf("%s", r.Str)
		}
		follow(t, d, source)
		harness.Until(t, patience, "the link to be up", linkUp(d))
		hasLibraries(t, d)
		c := source.Dial(t)
		if r := c.Do("FUNCTION", "LOAD", "#!lua name=third\nredis.register_function('third', function() return 3 end)"); r.IsError() {
			t.Fatalf("%s", r.Str)
		}
		harness.Until(t, patience, "the third", func() bool {
			return len(dc.Do("FUNCTION", "LIST").Elems) == 3
		})
		c.OK("FUNCTION", "DELETE", "third")
		harness.Until(t, patience, "it to go", func() bool { return len(dc.Do("FUNCTION", "LIST").Elems) == 2 })
		awaitSame(t, source, d)
		d.Kill()
		d.MustStart(t)
		harness.Until(t, patience, "the link to be up again", linkUp(d))
		d.Dial(t).OK("REPLICAOF", "NO", "ONE")
		hasLibraries(t, d)
		if got := ask(d, "FCALL", "put", "1", "key", "other"); got != "OK" {
			t.Errorf("FCALL put: %s", got)
		}
	}
}

// TestFunctionsInFiles imports, exports and has redis-cli fetch functions.
func TestFunctionsInFiles(t *testing.T) {
	harness.NeedItself(t)
	harness.NeedProgram(t, "redis-cli", "redis-tools")
	source := harness.Redis(t)
	libraries(t, source)
	d := harness.Dkv(t, "-shards", "2")
	for range 2 {
		if out, code := dkvctl(t, d, "-import", dumpFile(t, source)); code != 0 {
			t.Fatalf("-import: %d, %s", code, out)
		}
	}
	hasLibraries(t, d)
	exported := t.TempDir()
	if out, code := dkvctl(t, d, "-export", filepath.Join(exported, "dump.rdb")); code != 0 {
		t.Fatalf("-export: %d, %s", code, out)
	}
	hasLibraries(t, redisOn(t, exported))
	fetched := t.TempDir()
	out, err := exec.Command("redis-cli", "-p", strconv.Itoa(d.Port()), "--rdb", filepath.Join(fetched, "dump.rdb")).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli --rdb: %v\n%s", err, out)
	}
	hasLibraries(t, redisOn(t, fetched))
	// A function of another library has the name already: the server says so.
	other := harness.Dkv(t)
	if r := other.Dial(t).Do("FUNCTION", "LOAD", "#!lua name=mine\nredis.register_function('hello', function() return 1 end)"); r.IsError() {
		t.Fatalf("%s", r.Str)
	}
	if out, code := dkvctl(t, other, "-import", dumpFile(t, source)); code != 1 || !strings.Contains(out, "functions: FUNCTION: ") || !strings.Contains(out, "hello") {
		t.Errorf("-import: %d, %s", code, out)
	}
}
