package server

import (
	"strings"
	"testing"
	"time"
)

// toldBusy reports whether a new client is told BUSY. One whose command has come into the
// script's batch is told nothing: it waits for the script's end.
func toldBusy(t *testing.T, s *Server, key string) bool {
	t.Helper()
	c := dial(t, s)
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	c.send(request("DEL", key))
	line, err := c.r.ReadString('\n')
	return err == nil && strings.HasPrefix(line, "-BUSY")
}

// A script that runs on a shard's leader is ended through any node, whichever it was sent
// to: its clients are told everywhere that SCRIPT KILL is what they can call.
func TestKillThroughAnyNode(t *testing.T) {
	servers := startCluster(t, 3, 2, "busy-reply-threshold", "10")
	const lib = "#!lua name=l\nredis.register_function('spin', function(keys) while true do end end)\n" +
		"redis.register_function('keep', function(keys) redis.call('set', keys[1], 1) for i = 1, 1e7 do end end)"
	first := dial(t, servers[0])
	first.want("$1\r\nl\r\n", "FUNCTION", "LOAD", lib)
	for _, s := range servers {
		c := dial(t, s)
		c.want("-NOTBUSY No scripts in execution right now.\r\n", "SCRIPT", "KILL")
		c.want("-NOTBUSY No scripts in execution right now.\r\n", "FUNCTION", "KILL")
		c.want(ok, "MULTI")
		c.want("+QUEUED\r\n", "SCRIPT", "KILL")
		c.want("*1\r\n-NOTBUSY No scripts in execution right now.\r\n", "EXEC")
	}
	for i, at := range servers {
		for _, key := range []string{"a", "b", "c", "d"} { // in both shards
			runner, killer := dial(t, servers[(i+1)%3]), dial(t, at)
			busy := func() {
				t.Helper()
				eventually(t, "the shard is busy", func() bool { return toldBusy(t, at, key) })
			}
			runner.send(request("EVAL", "while true do end", "1", key))
			busy()
			killer.want("-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n", "FUNCTION", "KILL")
			killer.want(ok, "SCRIPT", "KILL")
			if got := runner.reply(); !strings.HasPrefix(got, "-ERR Script killed by user with SCRIPT KILL.") {
				t.Errorf("%q", got)
			}
			runner.send(request("FCALL", "spin", "1", key))
			busy()
			killer.want(ok, "FUNCTION", "KILL")
			if got := runner.reply(); !strings.HasPrefix(got, "-ERR Script killed by user with FUNCTION KILL.") {
				t.Errorf("%q", got)
			}
			killer.want("$-1\r\n", "GET", key)
		}
	}
	// What has written ends only by itself.
	leader, other := leaderAndOther(t, servers)
	runner, killer := dial(t, leader), dial(t, other)
	runner.send(request("FCALL", "keep", "1", "b")) // of shard 0
	eventually(t, "the function has written", func() bool { return strings.HasPrefix(killer.do("FUNCTION", "KILL"), "-UNKILLABLE ") })
	killer.want("-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.\r\n", "SCRIPT", "KILL")
	if err := runner.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	runner.expect("$-1\r\n")
}
