package server

import (
	"fmt"
	"strings"
	"testing"
)

// INFO tells for how many keys clients wait, and for how many also until they are gone.
func TestBlockingKeys(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	expect := func(when string, keys, onNoKey int) {
		t.Helper()
		want := fmt.Sprintf("total_blocking_keys:%d\r\ntotal_blocking_keys_on_nokey:%d\r\n", keys, onNoKey)
		info := ""
		eventually(t, when+": "+want, func() bool {
			info = c.do("INFO", "clients")
			return strings.Contains(info, want)
		})
	}
	expect("at first", 0, 0)
	pops, reads := dial(t, s), dial(t, s)
	pops.send(request("BLPOP", "a", "s", "0"))
	blocked(t, s, 1)
	expect("two lists", 2, 0)
	c.do("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
	reads.send(request("XREADGROUP", "GROUP", "g", "me", "BLOCK", "0", "STREAMS", "s", ">"))
	blocked(t, s, 2)
	expect("a group of a key that is waited for", 2, 1)
	c.do("DEL", "s")
	if got := reads.reply(); !strings.HasPrefix(got, "-NOGROUP") {
		t.Errorf("XREADGROUP: %q", got)
	}
	expect("the group is gone", 2, 0)
	c.do("RPUSH", "a", "x")
	pops.expect(bulks("a", "x"))
	expect("at the end", 0, 0)
}

// BGREWRITEAOF shows in INFO as long as it lasts, so that tools can wait for its end.
func TestRewriteInProgress(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	for range 50 {
		c.send(request("BGREWRITEAOF") + request("INFO", "persistence") + request("BGREWRITEAOF"))
		c.reply()
		over := strings.Contains(c.reply(), "aof_rewrite_in_progress:0\r\n")
		if got := c.reply(); over && got[0] != '+' {
			t.Fatalf("after the end of the one before: %q", got)
		}
		eventually(t, "the end", func() bool {
			return strings.Contains(c.do("INFO", "persistence"), "aof_rewrite_in_progress:0\r\n")
		})
	}
	s.admin.rewrite.running.Store(true)
	if !strings.Contains(c.do("INFO", "persistence"), "aof_rewrite_in_progress:1\r\n") {
		t.Error("INFO does not tell of one under way")
	}
	if got := c.do("BGREWRITEAOF"); got != "-ERR Background append only file rewriting already in progress\r\n" {
		t.Errorf("a second one: %q", got)
	}
}
