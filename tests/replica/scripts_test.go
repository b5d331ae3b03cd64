package replica

import (
	"strings"
	"testing"

	"dkv/tests/harness"
)

// A replica has the scripts and the functions of its source, and lets them read.
func TestScriptsOnReplica(t *testing.T) {
	source := harness.Dkv(t)
	s := source.Dial(t)
	const get = "return redis.call('get', KEYS[1])"
	sha := string(s.Do("SCRIPT", "LOAD", get).Str)
	s.Want("$1\r\nl\r\n", "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function{function_name='f', flags={'no-writes'}, "+
		"callback=function(keys) return redis.call('get', keys[1]) end}")
	replica := replicaOf(t, source)
	r := replica.Dial(t)
	awaitUp(t, replica)
	s.Do("EVAL", "redis.call('set', KEYS[1], 'x') redis.call('set', KEYS[2], 'y')", "2", "a", "b")
	awaitGet(t, r, "b", "y")
	for _, words := range [][]string{
		{"EVALSHA", sha, "1", "a"}, {"EVALSHA_RO", sha, "1", "a"}, {"EVAL", get, "1", "a"}, {"EVAL_RO", get, "1", "a"},
		{"FCALL", "f", "1", "a"}, {"FCALL_RO", "f", "1", "a"},
	} {
		r.Want("$1\r\nx\r\n", words...)
	}
	got := string(r.Do("EVAL", "return redis.call('set', KEYS[1], 1)", "1", "a").Raw)
	if !strings.HasPrefix(got, "-READONLY You can't write against a read only replica. script: ") {
		t.Errorf("a script that writes: %q", got)
	}
	r.Want(readOnly, "FUNCTION", "FLUSH")

	// What is loaded later arrives, too.
	later := string(s.Do("SCRIPT", "LOAD", "return 'later'").Str)
	harness.Until(t, patience, "the script to be known on the replica", func() bool {
		return string(r.Do("EVALSHA", later, "0").Str) == "later"
	})
}
