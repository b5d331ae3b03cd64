package server

import "testing"

// What a script publishes comes to the subscribers of every node, and not before what
// the script has written is to be seen.
func TestScriptPublishes(t *testing.T) {
	servers := startCluster(t, 3, 2)
	var subscribers []*client
	for _, s := range servers {
		c := dial(t, s)
		c.roundTrip(request("SUBSCRIBE", "news"), "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
		subscribers = append(subscribers, c)
	}
	caller := dial(t, servers[0])
	const source = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('PUBLISH', 'news', ARGV[1])"
	for _, value := range []string{"a", "b", "c"} {
		caller.roundTrip(request("EVAL", source, "1", "k", value), ":1\r\n")
		for i, c := range subscribers {
			c.expect(bulks("message", "news", value))
			if got := dial(t, servers[i]).do("GET", "k"); got != "$1\r\n"+value+"\r\n" {
				t.Errorf("after the message %s node %d has %q", value, i, got)
			}
		}
	}
	// Without a write, and in a script that fails behind it.
	caller.roundTrip(request("EVAL", "return redis.call('PUBLISH', 'news', 'only')", "0"), ":1\r\n")
	if got := caller.do("EVAL", "redis.call('PUBLISH', 'news', 'first') return redis.call('NOSUCH')", "0"); got[0] != '-' {
		t.Errorf("a failing script: %q", got)
	}
	for _, c := range subscribers {
		c.expect(bulks("message", "news", "only") + bulks("message", "news", "first"))
	}
	if got := caller.do("EVAL_RO", "return redis.call('PUBLISH', 'news', 'x')", "0"); got[:4] != "-ERR" {
		t.Errorf("from a script that only reads: %q", got)
	}
}
