package command

import (
	"fmt"
	"strings"
	"testing"
)

func TestKeyCommands(t *testing.T) {
	c := newClient(t)
	c.expect(
		"mset a 1 b 2 c 3", "+OK", "exists a b a missing", "3", "touch a missing", "1", "del a missing a", "1", "unlink b c", "2", "dbsize", "0",
		"set a 1", "+OK", "type a", "+string", "type missing", "+none",
		"rename missing x", "-ERR no such key", "rename a a", "+OK", "renamenx a a", "0", "rename a b", "+OK", "exists a", "0", "get b", "1",
		"mset x 1 y 2", "+OK", "renamenx x y", "0", "rename x y", "+OK", "get y", "1", "renamenx y z", "1",
		"setex t 10 v", "+OK", "rename t u", "+OK", "ttl u", "10", "rename z u", "+OK", "ttl u", "-1",
		"copy u v", "1", "copy u v", "0", "copy u v REPLACE", "1", "copy u u", "-ERR source and destination objects are the same",
		"copy u u DB 1", "1", "copy u v DB 16", "-ERR DB index is out of range", "copy u v DB x", "-ERR value is not an integer or out of range",
		"copy u v DB", "-ERR syntax error", "copy missing v", "0",
		"move u 1", "0", "move v 1", "1", "exists v", "0", "move v 1", "0", "move u 0", "-ERR source and destination objects are the same",
		"move u 16", "-ERR DB index is out of range", "move u 99999999999", "-"+errNotIntRange.Error(),
		"swapdb 0 1", "+OK", "get v", "1", "swapdb 0 16", "-ERR DB index is out of range", "swapdb x 1", "-ERR invalid first DB index",
		"swapdb 0 x", "-ERR invalid second DB index", "dbsize", "2", "flushdb", "+OK", "dbsize", "0", "swapdb 0 1", "+OK", "dbsize", "2",
		"flushall ASYNC", "+OK", "flushall sync", "+OK", "flushall other", "-ERR syntax error", "flushdb SYNC ASYNC", "-ERR syntax error", "dbsize", "0",
		"randomkey", "nil", "set only 1", "+OK", "randomkey", "only",
	)
}

func TestExpire(t *testing.T) {
	c := newClient(t)
	c.expect(
		"expire missing 10", "0", "ttl missing", "-2", "set k v", "+OK", "ttl k", "-1", "persist k", "0",
		"expire k 10", "1", "ttl k", "10", "pttl k", "10000", "expiretime k", "1700000010", "pexpiretime k", "1700000010000", "persist k", "1", "ttl k", "-1",
		"pexpire k 1499", "1", "ttl k", "1", "pexpire k 1500", "1", "ttl k", "2", "expireat k 1700000100", "1", "ttl k", "100",
		"pexpireat k 1700000100499", "1", "ttl k", "100",
		"expire k 10 NX", "0", "expire k 200 GT", "1", "expire k 100 GT", "0", "expire k 300 LT", "0", "expire k 100 LT", "1", "expire k 50 XX", "1",
		"persist k", "1", "expire k 10 XX", "0", "expire k 10 GT", "0", "expire k 10 LT", "1", "persist k", "1", "expire k 10 NX", "1",
		"expire k 10 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible",
		"expire k 10 GT LT", "-ERR GT and LT options at the same time are not compatible", "expire k 10 other", "-ERR Unsupported option other",
		"expire k x", "-ERR value is not an integer or out of range", "expire k 9223372036854775807", "-ERR invalid expire time in 'expire' command",
		"pexpire k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command",
		"expire k -9223372036854775808", "-ERR invalid expire time in 'expire' command",
		"expire k -1", "1", "exists k", "0", "set k v", "+OK", "expireat k 1", "1", "exists k", "0", "dbsize", "0",
	)
	c.do("set", "k", "v", "PX", "100")
	c.store.Now += 100
	c.expect("get k", "v", "pttl k", "0", "ttl k", "0")
	c.store.Now++
	c.expect("get k", "nil", "ttl k", "-2", "type k", "+none", "keys *", "[]", "expire k 10", "0", "del k", "0", "incr k", "1", "ttl k", "-1")
}

func TestObject(t *testing.T) {
	c := newClient(t)
	c.do("set", "long", strings.Repeat("x", 45))
	c.expect(
		"object encoding missing", "nil", "object freq missing", "nil", "object idletime missing", "nil", "object refcount missing", "nil",
		"set n 5", "+OK", "object encoding n", "int", "object encoding long", "raw", "object refcount long", "1", "object refcount n", "2147483647",
		"object freq n", "-"+errNoLFU.Error(), "object idletime n", "0",
		"object nope n", "-ERR unknown subcommand 'nope'. Try OBJECT HELP.", "object encoding", "-ERR wrong number of arguments for 'object|encoding' command",
		"memory usage missing", "nil", "memory usage long SAMPLES 0", fmt.Sprint(recordOverhead+4+45), "memory usage long SAMPLES -1", "-ERR syntax error",
		"memory usage long SAMPLES", "-ERR syntax error", "memory usage long other 1", "-ERR syntax error",
	)
	c.store.Now += 7500
	c.expect("object idletime n", "7", "ttl n", "-1", "object idletime n", "7", "get n", "5", "object idletime n", "0")
	if help := c.do("object", "help"); !strings.HasPrefix(help, "*11\r\n+OBJECT <subcommand>") {
		t.Errorf("help: %q", help)
	}
}

func TestScanCommand(t *testing.T) {
	c := newClient(t)
	c.expect(
		"scan 0", "[0 []]", "scan x", "-ERR invalid cursor", "scan 99999999999999999999", "-ERR invalid cursor", "scan 1x", "-ERR invalid cursor",
		"scan 0 COUNT", "-ERR syntax error", "scan 0 COUNT 0", "-ERR syntax error", "scan 0 COUNT x", "-ERR value is not an integer or out of range",
		"scan 0 other 1", "-ERR syntax error", "scan -1", "[0 []]", "scan ''", "[0 []]",
		"set only v", "+OK", "scan 0 MATCH o*", "[0 [only]]", "scan 0 TYPE string", "[0 [only]]", "scan 0 TYPE hash", "[0 []]", "scan 0 TYPE nothing", "[0 []]",
		"keys *", "[only]", "keys x*", "[]",
	)
	for i := range 100 {
		c.do("set", fmt.Sprint("key", i), "v")
	}
	seen, cursor := 0, "0"
	for calls := 0; calls == 0 || cursor != "0"; calls++ {
		reply := shorten(c.do("scan", cursor, "COUNT", "7"))
		cursor, reply, _ = strings.Cut(strings.Trim(reply, "[]"), " ")
		seen += len(strings.Fields(reply))
		if calls > 100 {
			t.Fatal("the scan does not end")
		}
	}
	if seen != 101 {
		t.Errorf("%d keys", seen)
	}
}
