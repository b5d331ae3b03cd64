package command

import (
	"bytes"
	"strings"
	"testing"

	"dkv/engine/keyspace"
	"dkv/resp"
)

func TestStreams(t *testing.T) {
	c := newClient(t)
	c.expect(
		"xadd s NOMKSTREAM 1-1 f v", "nil", "exists s", "0", "xadd s 1-1 f v", "1-1", "xadd s 1-* f w g x", "1-2", "xadd s 1-2 f v",
		"-ERR The ID specified in XADD is equal or smaller than the target stream top item", "xlen s", "2", "xlen missing", "0",
		"xrange s - +", "[[1-1 [f v]] [1-2 [f w g x]]]", "xrevrange s + - COUNT 1", "[[1-2 [f w g x]]]", "xrange s (1-1 +", "[[1-2 [f w g x]]]",
		"xrange s - + COUNT 0", "nil", "xrange missing - + COUNT 0", "[]", "xread STREAMS s 1-1", "[[s [[1-2 [f w g x]]]]]", "xread STREAMS s $", "nil",
		"xread BLOCK 0 STREAMS s $", "nil", "type s", "+stream", "object encoding s", "stream", "xdel s 1-1 9-9", "1", "xlen s", "1",
		"xgroup CREATE s g 0", "+OK", "xgroup CREATE s g 0", "-BUSYGROUP Consumer Group name already exists",
		"xreadgroup GROUP g c STREAMS s >", "[[s [[1-2 [f w g x]]]]]", "xreadgroup GROUP g c STREAMS s >", "nil",
		"xpending s g", "[1 1-2 1-2 [[c 1]]]", "xpending s g - + 10", "[[1-2 c 0 1]]", "xack s g 1-2", "1", "xack s g 1-2", "0", "xpending s g", "[0 nil nil nil]",
		"xdel s 1-2", "1", "exists s", "1", "xlen s", "0", "xadd s * f v", "1700000000000-0", "xadd s * f v", "1700000000000-1", "xtrim s MAXLEN 1", "1",
		"scan 0 TYPE stream", "[0 [s]]", "scan 0 TYPE hash", "[0 []]", "copy s t", "1", "xgroup DESTROY t g", "1", "xinfo GROUPS t", "[]", "xpending s g", "[0 nil nil nil]",
		"rename t u", "+OK", "xlen u", "1", "expire u 10", "1", "xadd u * f v", "1700000000000-2", "ttl u", "10", "set u v", "+OK", "get u", "v",
		"set str v", "+OK", "xadd str * f v", "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"xread STREAMS s str 0 0", "-WRONGTYPE Operation against a key holding the wrong kind of value", "get s", "-WRONGTYPE Operation against a key holding the wrong kind of value",
	)
}

// What redis-server 7.0, with which the others are compared, does not do as 7.2 does.
func TestStreamsAs72(t *testing.T) {
	c := newClient(t)
	c.expect(
		"xread STREAMS a b 0", "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
		"xreadgroup GROUP g c STREAMS a b >", "-ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
		"xadd s 1-1 f v", "1-1", "xadd s 2-0 f v", "2-0", "xadd s 3-0 f v", "3-0", "xdel s 2-0", "1",
		"xsetid s 1-0", "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
		"xsetid s 2-5", "-ERR The ID specified in XSETID is smaller than the target stream top item",
		"xsetid s 5-0 ENTRIESADDED 1", "-ERR The entries_added specified in XSETID is smaller than the target stream length",
		"xsetid s 5-0 MAXDELETEDID 6-0", "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
		"xsetid s 5-0 ENTRIESADDED 7 MAXDELETEDID 2-1", "+OK", "xsetid missing 1", "-ERR no such key",
		"xgroup CREATE s g $", "+OK",
		// A consumer is made when it asks, even if there is nothing for it.
		"xreadgroup GROUP g idle STREAMS s >", "nil", "xclaim s g other 0 9-9", "[]", "xautoclaim s g third 0 -", "[0-0 [] []]",
		"xinfo CONSUMERS s g", "[[name idle pending 0 idle 0 inactive -1] [name other pending 0 idle 0 inactive -1] [name third pending 0 idle 0 inactive -1]]",
		"xgroup SETID s g 1-1 ENTRIESREAD 1", "+OK", "xreadgroup GROUP g idle COUNT 1 STREAMS s >", "[[s [[3-0 [f v]]]]]",
	)
	c.store.Now += 500
	c.expect(
		"xinfo CONSUMERS s g", "[[name idle pending 1 idle 500 inactive 500] [name other pending 0 idle 500 inactive -1] [name third pending 0 idle 500 inactive -1]]",
		"xpending s g - + 5", "[[3-0 idle 500 1]]", "xpending s g IDLE 501 - + 5", "[]", "xclaim s g other 501 3-0", "[]", "xclaim s g other 500 3-0 JUSTID", "[3-0]",
		"xgroup DELCONSUMER s g third", "0", "xgroup DELCONSUMER s g idle", "0",
	)
	c.expect(
		"xinfo STREAM s FULL", "[length 2 radix-tree-keys 1 radix-tree-nodes 2 last-generated-id 5-0 max-deleted-entry-id 2-1 entries-added 7 recorded-first-entry-id 1-1 "+
			"entries [[1-1 [f v]] [3-0 [f v]]] groups [[name g last-delivered-id 3-0 entries-read 2 lag 5 pel-count 1 pending [[3-0 other 1700000000500 1]] "+
			"consumers [[name other seen-time 1700000000500 active-time 1700000000500 pel-count 1 pending [[3-0 1700000000500 1]]]]]]]",
	)
	c.proto = 3
	c.expect(
		"xread STREAMS s 0", "%[s [[1-1 [f v]] [3-0 [f v]]]]", "xread STREAMS s $", "null", "xinfo GROUPS s",
		"[%[name g consumers 1 pending 1 last-delivered-id 3-0 entries-read 2 lag 5]]", "xpending s nogroup", "-NOGROUP No such key 's' or consumer group 'nogroup'",
		"xrange s - + COUNT 0", "null", "xadd none NOMKSTREAM * f v", "null",
	)
}

// What waits is run again with what "$" meant at first; ">" means what is new by then.
func TestAgain(t *testing.T) {
	c := newClient(t)
	c.expect("xadd s 5-1 f v", "5-1", "xgroup CREATE s g $", "+OK")
	for line, want := range map[string]string{
		"xread BLOCK 0 COUNT 2 STREAMS s none s $ $ 5-1": "xread BLOCK 0 COUNT 2 STREAMS s none s 5-1 0-0 5-1",
		"xreadgroup GROUP g c BLOCK 7 STREAMS s >":       "xreadgroup GROUP g c BLOCK 7 STREAMS s >",
	} {
		c.store.ReadLive(func(tx *keyspace.Tx) {
			var args [][]byte
			for _, w := range words(line) {
				args = append(args, []byte(w))
			}
			x := Ctx{Args: args, Tx: tx, Out: new(resp.Writer), Spec: Lookup(args[0])}
			q, err := x.parseStreamRead(string(args[0]) == "xreadgroup")
			for i := range q.keys {
				s, readErr := x.readStream(q.keys[i])
				if err == nil && readErr == nil {
					err = x.resolveID(&q, i, s)
				}
			}
			if got := bytes.Join(x.again(&q), []byte(" ")); string(got) != want || err != nil {
				t.Errorf("%s: %q, %v", line, got, err)
			}
			if got := bytes.Join(args, []byte(" ")); string(got) != line {
				t.Errorf("%s was changed to %q", line, got)
			}
		})
	}
}

func TestStreamTimeouts(t *testing.T) {
	c := newClient(t)
	for arg, want := range map[string]string{
		"x": "-ERR timeout is not an integer or out of range", "1.5": "-ERR timeout is not an integer or out of range", "-1": "-ERR timeout is negative",
		"9223372036854775807": "-ERR timeout is out of range", "0": "nil", "100": "nil",
	} {
		c.expect("xread BLOCK "+arg+" STREAMS s 0", want)
	}
}

func FuzzParseStreamID(f *testing.F) {
	for _, s := range []string{"1-1", "-", "+", "5", "5-*", "18446744073709551615-18446744073709551615", " 1-+1", strings.Repeat("9", 127)} {
		for form := range 3 {
			f.Add(s, byte(form))
		}
	}
	f.Fuzz(func(t *testing.T, s string, form byte) {
		id, given, err := parseStreamID([]byte(s), 7, idForm(form%3))
		if err != nil {
			if err != errStreamID {
				t.Fatal(err)
			}
			return
		}
		again, _, err := parseStreamID(id.AppendText(nil), 0, idStrict)
		if err != nil || again != id || !given && idForm(form%3) != idOpen {
			t.Fatalf("%q is %v, which is %v, %v", s, id, again, err)
		}
	})
}
