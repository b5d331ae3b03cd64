package server

import (
	"strconv"
	"strings"
	"testing"
)

// changes is what INFO says has changed since the last save.
func (c *client) changes() int {
	c.t.Helper()
	_, rest, _ := strings.Cut(c.do("INFO", "persistence"), "rdb_changes_since_last_save:")
	line, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// What INFO counts are changes of keys: as many as commands made, however many were
// one entry of the log, and none for what leaves a key as it was.
func TestChangesSinceLastSave(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	for _, step := range []struct {
		pipeline string
		want     int
	}{
		{"SET a 1", 1},
		{"SET a 1|SET b 2|DEL a nothing", 3},
		{"GET b|DEL a", 0},
		{"SETBIT bits 7 0", 1},
		{"SETBIT bits 7 0", 0},
		{"SETBIT bits 7 1|SETBIT bits 7 1", 1},
		{"SETBIT bits 90 0", 1},
		{"BITFIELD field SET i5 0 0", 1},
		{"BITFIELD field SET i5 0 0", 0},
		{"BITFIELD field SET i5 0 3|BITFIELD field SET i5 0 3", 1},
		{"BITFIELD field INCRBY i5 0 1|BITFIELD field INCRBY i5 0 1", 2},
		{"BITFIELD field OVERFLOW FAIL INCRBY i5 0 15", 0},
		{"BITFIELD field SET i5 90 0", 1},
		{"MULTI|SET a 1|INCR a|EXEC", 2},
		{"EVAL return(redis.call('set','k','v')) 0", 1},
	} {
		before := c.changes()
		for _, line := range strings.Split(step.pipeline, "|") {
			c.do(strings.Fields(line)...)
		}
		if got := c.changes() - before; got != step.want {
			t.Errorf("%s: %d changes, want %d", step.pipeline, got, step.want)
		}
	}

	before := c.changes()
	waiting := dial(t, s)
	waiting.send(request("BLPOP", "q", "0"))
	blocked(t, s, 1)
	c.roundTrip(request("LPUSH", "q", "x"), ":1\r\n")
	waiting.expect(bulks("q", "x"))
	if got := c.changes() - before; got != 2 {
		t.Errorf("a push and the pop that waited for it: %d changes", got)
	}
	if c.do("SAVE"); c.changes() != 0 {
		t.Errorf("%d changes after SAVE", c.changes())
	}
}
