package replica

import (
	"strings"
	"testing"

	"dkv/tests/harness"
)

// TestScriptsInMultiOnReplica: a script that says that it writes is refused when it is
// queued, and one that became a replica's only by then at EXEC, as commands that write
// are; of one that says nothing, its commands are.
func TestScriptsInMultiOnReplica(t *testing.T) {
	const (
		silent  = "return redis.call('set', KEYS[1], 'x')"
		writes  = "#!lua\nreturn redis.call('set', KEYS[1], 'x')"
		reads   = "#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])"
		library = "#!lua name=l\nredis.register_function('writes', function(k) return redis.call('set', k[1], 'x') end)\n" +
			"redis.register_function{function_name='reads', flags={'no-writes'}, callback=function(k) return redis.call('get', k[1]) end}"
		queued  = "+QUEUED\r\n"
		aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n"
		at      = "-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n"
	)
	for _, shards := range []string{"1", "4"} {
		t.Run(shards+" shards", func(t *testing.T) {
			source := harness.Dkv(t, "-shards", shards)
			s := source.Dial(t)
			s.Do("FUNCTION", "LOAD", library)
			sha := string(s.Do("SCRIPT", "LOAD", writes).Str)
			readsSHA := string(s.Do("SCRIPT", "LOAD", reads).Str)
			s.OK("SET", "k", "v")
			replica := replicaOf(t, source, "-shards", shards)
			r := replica.Dial(t)
			awaitUp(t, replica)
			awaitGet(t, r, "k", "v")
			writing := [][]string{
				{"EVAL", writes, "1", "k"}, {"EVALSHA", sha, "1", "k"}, {"FCALL", "writes", "1", "k"}, {"FCALL", "WRITES", "1", "k"},
				{"EVAL_RO", writes, "1", "k"}, {"SET", "k", "x"},
			}
			reading := [][]string{
				{"EVAL", reads, "1", "k"}, {"EVALSHA", readsSHA, "1", "k"}, {"FCALL", "reads", "1", "k"}, {"FCALL_RO", "reads", "1", "k"},
				{"EVAL_RO", reads, "1", "k"}, {"GET", "k"},
			}
			for _, words := range writing {
				r.OK("MULTI")
				r.Want(readOnly, words...)
				r.Want(aborted, "EXEC")
			}
			for _, words := range reading {
				r.OK("MULTI")
				r.Want(queued, words...)
				r.Want("*1\r\n$1\r\nv\r\n", "EXEC")
			}
			// What says nothing runs, until it writes; what is not known as well.
			r.OK("MULTI")
			r.Want(queued, "EVAL", silent, "1", "k")
			r.Want(queued, "EVALSHA", strings.Repeat("f", 40), "0")
			r.Want(queued, "FCALL", "nosuch", "1", "k")
			r.Want(queued, "GET", "k")
			got := string(r.Do("EXEC").Raw)
			if !strings.HasPrefix(got, "*4\r\n"+strings.TrimSuffix(readOnly, "\r\n")+" script: ") ||
				!strings.HasSuffix(got, "-NOSCRIPT No matching script. Please use EVAL.\r\n-ERR Function not found\r\n$1\r\nv\r\n") {
				t.Errorf("EXEC: %q", got)
			}
			// It was a master when they were queued.
			host, port := cut(source.Addr(), ":")
			for _, words := range writing {
				replica.Dial(t).OK("REPLICAOF", "NO", "ONE")
				r.OK("MULTI")
				r.Want(queued, "GET", "k")
				r.Want(queued, words...)
				replica.Dial(t).OK("REPLICAOF", host, port)
				r.Want(at, "EXEC")
			}
			replica.Dial(t).OK("REPLICAOF", "NO", "ONE")
			r.OK("MULTI")
			r.Want(queued, "EVAL", reads, "1", "k")
			r.Want(queued, "EVAL", silent, "1", "k")
			replica.Dial(t).OK("REPLICAOF", host, port)
			got = string(r.Do("EXEC").Raw)
			if !strings.HasPrefix(got, "*2\r\n$1\r\nv\r\n"+strings.TrimSuffix(readOnly, "\r\n")+" script: ") {
				t.Errorf("EXEC: %q", got)
			}
		})
	}
}
