package command

import (
	"fmt"
	"strings"
	"testing"

	"dkv/server/rdb"
)

// A stream goes to a real server and comes back with its groups, their consumers and
// what is pending, deleted entries included.
func TestDumpStreamGroups(t *testing.T) {
	o, c := newOracle(t), newClient(t)
	for _, line := range []string{
		"XADD k 5-1 f v", "XADD k 5-2 f w g 1", "XADD k 6-1 f 70000", "XADD k 6-9 h -3", "XADD k 7-1 f v", "XDEL k 6-1",
		"XGROUP CREATE k g 0", "XGROUP CREATE k late $", "XGROUP CREATE k odd 5-2 ENTRIESREAD 2",
		"XREADGROUP GROUP g alice COUNT 2 STREAMS k >", "XREADGROUP GROUP g bob COUNT 9 STREAMS k >", "XGROUP CREATECONSUMER k g idle",
		"XCLAIM k g bob 0 5-1 TIME 1000 RETRYCOUNT 7", "XACK k g 5-2", "XDEL k 7-1",
	} {
		o.do(strings.Fields(line)...)
	}
	queries := []string{
		"XRANGE k - +", "XINFO GROUPS k", "XPENDING k g", "XPENDING k g - + 10 bob", "XPENDING k odd", "XLEN k", "XREAD STREAMS k 0",
	}
	// Idle times run on.
	look := func(do func(...string) string) string {
		var b strings.Builder
		for _, q := range queries {
			text := shorten(do(strings.Fields(q)...))
			if strings.HasPrefix(q, "XPENDING k g -") {
				text = strings.Join(strings.Fields(text)[:2], " ")
			}
			b.WriteString(q + " = " + text + "\n")
		}
		return b.String()
	}
	want := look(o.do)
	payload := bulk(t, o.do("DUMP", "k"))
	if got := c.do("RESTORE", "k", "0", payload); got != "+OK\r\n" {
		t.Fatalf("RESTORE: %s", got)
	}
	if got := look(c.do); got != want {
		t.Fatalf("restored here:\n%s\nwant\n%s", got, want)
	}
	back := bulk(t, c.do("DUMP", "k"))
	if got := o.do("RESTORE", "k", "0", back, "REPLACE"); got != "+OK\r\n" {
		t.Fatalf("RESTORE there: %s", got)
	}
	if got := look(o.do); got != want {
		t.Fatalf("restored there:\n%s\nwant\n%s", got, want)
	}
	for _, write := range []string{"XADD k 9-1 f v", "XREADGROUP GROUP g alice STREAMS k >", "XACK k g 9-1 6-9", "XADD k * f v"} {
		if got := c.do(strings.Fields(write)...); got[0] == '-' {
			t.Errorf("%s: %s", write, got)
		}
	}
	// One whose time is over leaves nothing.
	if got := c.do("RESTORE", "gone", "1", payload, "ABSTTL"); got != "+OK\r\n" || c.do("EXISTS", "gone") != ":0\r\n" {
		t.Errorf("RESTORE of what has expired: %s", got)
	}
}

// Groups written by a server before 7.0 have read as much as a real server takes them to
// have.
func TestRestoreOfAnOldStream(t *testing.T) {
	o, c := newOracle(t), newClient(t)
	for _, ids := range [][]uint64{nil, {3}, {3, 5, 6, 9}} {
		payload := []byte{byte(rdb.TypeStream)}
		nodes := rdb.NewStreamNodes(payload)
		for _, id := range ids {
			nodes.Add(rdb.StreamID{Millis: id, Seq: 1}, [][]byte{[]byte("f"), []byte("v")})
		}
		payload = rdb.AppendLength(nodes.End(), uint64(len(ids)))
		payload = rdb.AppendStreamID(payload, rdb.StreamID{Millis: 9, Seq: 1})
		places := []rdb.StreamID{{}, {Millis: 2}, {Millis: 3, Seq: 1}, {Millis: 5, Seq: 1}, {Millis: 9, Seq: 1}}
		payload = rdb.AppendLength(payload, uint64(len(places)))
		for i, place := range places {
			payload = rdb.AppendStreamID(rdb.AppendString(payload, fmt.Appendf(nil, "group%d", i)), place)
			payload = rdb.AppendLength(rdb.AppendLength(payload, 0), 0)
		}
		payload = rdb.AppendFooter(payload, 0)
		for _, args := range [][]string{{"RESTORE", "old", "0", string(payload), "REPLACE"}, {"XINFO", "GROUPS", "old"}} {
			if got, want := c.do(args...), o.do(args...); got != want {
				t.Errorf("entries %v, %s:\n%q\nwant\n%q", ids, args[0], got, want)
			}
		}
	}
}

// What is pending and no consumer's makes a payload a bad one, whose error is a real
// server's.
func TestRestoreStreamOfNobody(t *testing.T) {
	c := newClient(t)
	payload := []byte{byte(rdb.TypeStream)}
	nodes := rdb.NewStreamNodes(payload)
	nodes.Add(rdb.StreamID{Millis: 1, Seq: 1}, [][]byte{[]byte("f"), []byte("v")})
	payload = rdb.AppendLength(nodes.End(), 1)
	payload = rdb.AppendStreamID(payload, rdb.StreamID{Millis: 1, Seq: 1})
	payload = rdb.AppendStreamID(rdb.AppendString(rdb.AppendLength(payload, 1), []byte("g")), rdb.StreamID{Millis: 1, Seq: 1})
	payload = rdb.AppendLength(payload, 1)                                    // pending entries
	payload = append(payload, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1) // 1-1
	payload = append(payload, 0, 0, 0, 0, 0, 0, 0, 0)                         // delivered then
	payload = rdb.AppendLength(rdb.AppendLength(payload, 1), 0)               // once; consumers
	payload = rdb.AppendFooter(payload, 0)
	if got := c.do("RESTORE", "k", "0", string(payload)); got != "-ERR Bad data format\r\n" {
		t.Errorf("RESTORE: %q", got)
	}
	if got := c.do("EXISTS", "k"); got != ":0\r\n" {
		t.Errorf("it left something: %q", got)
	}
}
