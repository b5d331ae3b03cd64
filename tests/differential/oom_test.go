package differential

import (
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// outOfMemory are commands that are run while there is no memory at all, with the
// policy noeviction. {k}1 is a string, {k}2 a list.
var outOfMemory = [][]string{
	{"SET", "{k}x", "v"}, {"GET", "{k}1"}, {"APPEND", "{k}1", "x"}, {"DEL", "{k}none"}, {"EXPIRE", "{k}1", "1000"}, {"PERSIST", "{k}1"},
	{"LPUSH", "{k}2", "x"}, {"LPOP", "{k}2"}, {"RPOPLPUSH", "{k}2", "{k}2"}, {"SADD", "{k}s", "x"}, {"SREM", "{k}s", "x"},
	{"HSET", "{k}h", "f", "v"}, {"HDEL", "{k}h", "f"}, {"ZADD", "{k}z", "1", "m"}, {"XADD", "{k}st", "1-1", "f", "v"}, {"SETRANGE", "{k}1", "0", "x"},
	{"GETDEL", "{k}none"}, {"GETEX", "{k}1", "PERSIST"}, {"RENAME", "{k}1", "{k}1"}, {"COPY", "{k}1", "{k}9"}, {"PFADD", "{k}p", "x"},
	{"BITOP", "NOT", "{k}b", "{k}1"}, {"INCR", "{k}n"}, {"MSET", "{k}a", "b"}, {"GETSET", "{k}1", "y"}, {"SORT", "{k}2"}, {"PING"}, {"SET", "{k}x"},
	{"EVAL", "return redis.call('set', KEYS[1], 'x')", "1", "{k}1"},
	{"EVAL", "return redis.pcall('set', KEYS[1], 'x')", "1", "{k}1"},
	{"EVAL", "return redis.pcall('set', KEYS[1], 'x').err", "1", "{k}1"},
	{"EVAL", "return redis.call('get', KEYS[1])", "1", "{k}1"},
	{"EVAL", "redis.call('del', KEYS[1]) return redis.call('set', KEYS[1], 'x')", "1", "{k}1"},
	{"EVAL", "#!lua\nreturn 1", "0"},
	{"EVAL", "#!lua flags=allow-oom\nreturn redis.call('set', KEYS[1], 'z')", "1", "{k}1"},
	{"EVAL", "#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])", "1", "{k}1"},
	{"FCALL", "f", "1", "{k}1"}, {"FCALL", "g", "1", "{k}1"}, {"FUNCTION", "LOAD", "#!lua name=other\nredis.register_function('h', function() end)"},
	{"MULTI"}, {"GET", "{k}1"}, {"EXEC"},
	{"MULTI"}, {"SET", "{k}1", "x"}, {"EXEC"},
	{"MULTI"}, {"EXEC"}, {"MULTI"}, {"DISCARD"}, {"WATCH", "{k}1"}, {"UNWATCH"},
	{"OBJECT", "FREQ", "{k}1"}, {"GET", "{k}1"},
}

const oomLibrary = "#!lua name=lib\nredis.register_function('f', function(k) return redis.call('set', k[1], 'x') end)\n" +
	"redis.register_function{function_name='g', callback=function(k) return redis.call('set', k[1], 'x') end, flags={'allow-oom'}}"

// Without memory the same commands are refused as by Redis, in the same words.
func TestOutOfMemory(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		redis := harness.Redis(t).Dial(t)
		dkv := harness.Dkv(t, "-diskless", "yes").Dial(t)
		queued := [2]*harness.TestConn{}
		for i, c := range []*harness.TestConn{redis, dkv} {
			c.SetDeadline(time.Now().Add(time.Minute))
			c.Do("HELLO", proto)
			c.OK("SET", "{k}1", "v")
			c.Do("RPUSH", "{k}2", "a", "b", "c")
			c.Do("FUNCTION", "LOAD", oomLibrary)
			c.OK("CONFIG", "SET", "maxmemory", "1")
			harness.Until(t, time.Minute, "memory to be short", func() bool { return c.Do("SET", "{k}y", "y").IsError() })
			queued[i] = c
		}
		for _, args := range outOfMemory {
			want, got := redis.Do(args...), dkv.Do(args...)
			if string(want.Raw) != string(got.Raw) {
				t.Errorf("RESP%s %s: %q, want %q", proto, strings.Join(args, " "), got.Raw, want.Raw)
			}
		}
	}
}

// A transaction that was queued while there was memory is refused when there is none any
// more, if it takes some.
func TestOutOfMemoryAtExec(t *testing.T) {
	for _, body := range [][]string{{"SET", "{k}1", "x"}, {"GET", "{k}1"}, {"DEL", "{k}1"}} {
		var replies [2]string
		for i, srv := range []*harness.Server{harness.Redis(t), harness.Dkv(t, "-diskless", "yes")} {
			c, other := srv.Dial(t), srv.Dial(t)
			c.OK("SET", "{k}1", "v")
			c.Do("MULTI")
			c.Do(body...)
			other.OK("CONFIG", "SET", "maxmemory", "1")
			harness.Until(t, time.Minute, "memory to be short", func() bool { return other.Do("SET", "{k}y", "y").IsError() })
			replies[i] = string(c.Do("EXEC").Raw)
		}
		if replies[0] != replies[1] {
			t.Errorf("%s: %q, want %q", body, replies[1], replies[0])
		}
	}
}

// OBJECT FREQ and OBJECT IDLETIME by policy, with and without a bound, and RESTORE's options for them.
func TestObjectByPolicy(t *testing.T) {
	redis, dkv := harness.Redis(t).Dial(t), harness.Dkv(t).Dial(t)
	for _, how := range []string{"0 allkeys-lfu", "0 allkeys-lru", "0 volatile-lfu", "0 noeviction",
		"1000000000 allkeys-lfu", "1000000000 allkeys-lru", "1000000000 volatile-lfu", "1000000000 noeviction"} {
		bytes, policy, _ := strings.Cut(how, " ")
		for _, args := range [][]string{
			{"CONFIG", "SET", "maxmemory", bytes, "maxmemory-policy", policy},
			{"SET", "a", "b"}, {"OBJECT", "FREQ", "a"}, {"OBJECT", "IDLETIME", "a"}, {"OBJECT", "FREQ", "none"}, {"OBJECT", "IDLETIME", "none"},
			{"DEL", "r"}, {"RESTORE", "r", "0", "\x00\xc0\x01\x0b\x00\x2b\x3e\xa2\x8e\x5e\xa4\x8d\x25", "FREQ", "100"}, {"OBJECT", "FREQ", "r"},
			{"RESTORE", "r", "0", "\x00\xc0\x01\x0b\x00\x2b\x3e\xa2\x8e\x5e\xa4\x8d\x25", "IDLETIME", "1000", "REPLACE"}, {"OBJECT", "IDLETIME", "r"},
		} {
			if want, got := redis.Do(args...), dkv.Do(args...); string(want.Raw) != string(got.Raw) {
				t.Errorf("%s: %q: %q, want %q", how, args, got.Raw, want.Raw)
			}
		}
	}
}
