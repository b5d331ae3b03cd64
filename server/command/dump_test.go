package command

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/server/rdb"
)

// bulk returns the string that a reply in wire form is.
func bulk(t *testing.T, reply string) string {
	t.Helper()
	head, rest, _ := strings.Cut(reply, "\r\n")
	n, err := strconv.Atoi(strings.TrimPrefix(head, "$"))
	if err != nil || n < 0 {
		t.Fatalf("no string: %q", reply)
	}
	return rest[:n]
}

// limits are set anew for each value, so that all encodings come about.
var encodingLimits = []string{
	"hash-max-listpack-entries", "hash-max-listpack-value", "set-max-intset-entries", "zset-max-listpack-entries", "zset-max-listpack-value",
	"list-max-listpack-size",
}

// makeValue has a real server make the key k, of any type that the base has, or of any at all.
func (g generator) makeValue(o *oracle, kinds int) (read []string) {
	for _, name := range encodingLimits {
		o.do("CONFIG", "SET", name, strconv.Itoa(1+g.IntN(200)))
	}
	o.do("DEL", "k")
	n := 1 + g.IntN(pick(g, 2, 20, 300))
	word := func() string {
		switch g.IntN(6) {
		case 0:
			return strconv.FormatInt(int64(g.Uint64())>>g.IntN(64), 10)
		case 1:
			return strconv.Itoa(g.IntN(5000) - 100)
		case 2:
			return strings.Repeat("ab", g.IntN(200)) + strconv.Itoa(g.IntN(1000))
		}
		b := make([]byte, g.IntN(60))
		for i := range b {
			b[i] = byte(g.IntN(256))
		}
		return string(b)
	}
	var cmd []string
	switch g.IntN(kinds) {
	case 0:
		o.do("SET", "k", strings.Repeat(word(), pick(g, 0, 1, 1, 30)))
		return []string{"get"}
	case 1:
		cmd, read = []string{"HSET", "k"}, []string{"hgetall"}
		for range n {
			cmd = append(cmd, word(), word())
		}
	case 2:
		cmd, read = []string{"SADD", "k"}, []string{"smembers"}
		numbers := g.IntN(2) == 0
		for range n {
			if w := word(); !numbers {
				cmd = append(cmd, w)
			} else {
				cmd = append(cmd, strconv.FormatInt(int64(g.Uint64())>>g.IntN(64), 10))
			}
		}
	case 3:
		cmd, read = []string{"ZADD", "k"}, []string{"zrange", "0", "-1"}
		for range n {
			score := pick(g, "inf", "-inf", "0", "-0", "1", "2", "-2.5", "0.1", "1e300", "3", strconv.Itoa(g.IntN(1000)))
			cmd = append(cmd, score, word())
		}
	case 4:
		cmd, read = []string{"RPUSH", "k"}, []string{"lrange", "0", "-1"}
		for range n {
			cmd = append(cmd, strings.Repeat(word(), pick(g, 1, 1, 1, 400)))
		}
	case 5:
		for range n {
			cmd = []string{"XADD", "k", "*", word(), word(), pick(g, "f", word()), word()}
			o.do(cmd...)
		}
		return []string{"xrange", "-", "+"}
	}
	o.do(cmd...)
	return read
}

// What a real server dumps is restored here, and what is dumped here there, with the
// same contents.
func TestDumpBothWays(t *testing.T) {
	g := generator{seed(t)}
	o := newOracle(t)
	c := newClient(t)
	for range 600 {
		read := g.makeValue(o, 6)
		query := func(key string) []string { return append([]string{read[0], key}, read[1:]...) }
		want := comparable(read, o.do(query("k")...))
		c.do("DEL", "k")
		if got := c.do("RESTORE", "k", "0", bulk(t, o.do("DUMP", "k"))); got != "+OK\r\n" {
			t.Fatalf("RESTORE of %s: %s", want, got)
		}
		if got := comparable(read, c.do(query("k")...)); got != want {
			t.Fatalf("restored here:\n got %q\nwant %q", got, want)
		}
		if got := o.do("RESTORE", "back", "0", bulk(t, c.do("DUMP", "k")), "REPLACE"); got != "+OK\r\n" {
			t.Fatalf("RESTORE there of %s: %s", want, got)
		}
		if got := comparable(read, o.do(query("back")...)); got != want {
			t.Fatalf("restored there:\n got %q\nwant %q", got, want)
		}
		if read[0] == "zrange" { // the scores as well
			q := append(query("k"), "WITHSCORES")
			q2 := append(query("back"), "WITHSCORES")
			if a, b := o.do(q...), o.do(q2...); a != b {
				t.Fatalf("scores:\n got %q\nwant %q", b, a)
			}
		}
	}
}

// Lists and streams are read as a real server has them.
func TestReadListsAndStreams(t *testing.T) {
	g := generator{seed(t)}
	o := newOracle(t)
	for range 300 {
		read := g.makeValue(o, 6)
		typ, r, err := rdb.OpenPayload([]byte(bulk(t, o.do("DUMP", "k"))))
		if err != nil {
			t.Fatal(err)
		}
		if k := typ.Kind(); k != rdb.KindList && k != rdb.KindStream {
			continue
		}
		var got []string
		err = r.Value(typ, func(el *rdb.Element) error {
			if el.Stream == nil {
				got = append(got, string(el.Value))
			} else if p := el.Stream; p.Kind == rdb.StreamEntry {
				var words []string
				for _, w := range p.Pairs {
					words = append(words, string(w))
				}
				got = append(got, fmt.Sprintf("[%d-%d [%s]]", p.ID.Millis, p.ID.Seq, strings.Join(words, " ")))
			}
			return nil
		})
		if err != nil {
			t.Fatalf("type %d: %v", typ, err)
		}
		want := shorten(o.do(append([]string{read[0], "k"}, read[1:]...)...))
		if text := "[" + strings.Join(got, " ") + "]"; text != want {
			t.Fatalf("type %d:\n got %q\nwant %q", typ, text, want)
		}
	}
}

// A stream with all that can be in one.
func TestReadStreamGroups(t *testing.T) {
	o := newOracle(t)
	for i := range 200 {
		o.do("XADD", "s", fmt.Sprintf("%d-1", i+1), "a", "1", "b", strconv.Itoa(i))
	}
	o.do("XDEL", "s", "3-1", "150-1")
	o.do("XTRIM", "s", "MINID", "2")
	o.do("XGROUP", "CREATE", "s", "g", "0")
	o.do("XGROUP", "CREATE", "s", "empty", "$")
	o.do("XREADGROUP", "GROUP", "g", "one", "COUNT", "3", "STREAMS", "s", ">")
	o.do("XREADGROUP", "GROUP", "g", "two", "COUNT", "2", "STREAMS", "s", ">")
	o.do("XACK", "s", "g", "4-1")
	typ, r, err := rdb.OpenPayload([]byte(bulk(t, o.do("DUMP", "s"))))
	if err != nil {
		t.Fatal(err)
	}
	entries := 0
	var rest []string
	err = r.Value(typ, func(el *rdb.Element) error {
		p := *el.Stream
		text := fmt.Sprintf("%d %s %d-%d", p.Kind, p.Name, p.ID.Millis, p.ID.Seq)
		switch p.Kind {
		case rdb.StreamEntry:
			entries++
			return nil
		case rdb.StreamEnd:
			text += fmt.Sprintf(" length %d first %d deleted %d added %d", p.Length, p.First.Millis, p.MaxDeleted.Millis, p.Added)
		case rdb.StreamGroup:
			text += fmt.Sprintf(" read %d", p.Read)
		case rdb.StreamPending:
			text += fmt.Sprintf(" count %d", p.Count)
			fallthrough
		case rdb.StreamConsumer:
			if d := time.Since(time.UnixMilli(p.Time)); d < 0 || d > time.Minute {
				t.Errorf("%s: time %d", text, p.Time)
			}
		}
		rest = append(rest, text)
		return nil
	})
	want := "2  200-1 length 197 first 2 deleted 150 added 200|3 empty 200-1 read 200|3 g 7-1 read 7|4  2-1 count 1|4  5-1 count 1|4  6-1 count 1|4  7-1 count 1|" +
		"5 one 0-0|6  2-1|6  5-1|5 two 0-0|6  6-1|6  7-1"
	if err != nil || entries != 197 {
		t.Errorf("%d entries, %v", entries, err)
	}
	if got := strings.Join(rest, "|"); !sameParts(got, want) {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// sameParts leaves out how many entries a group is known to have read, which Redis
// gives up on when some were deleted.
func sameParts(a, b string) bool {
	clean := func(s string) string {
		var out []string
		for part := range strings.SplitSeq(s, "|") {
			part, _, _ = strings.Cut(part, " read ")
			out = append(out, part)
		}
		return strings.Join(out, "|")
	}
	return clean(a) == clean(b)
}

// Errors of RESTORE, and its options, are Redis's.
func TestRestoreAgainstRedis(t *testing.T) {
	o := newOracle(t)
	c := newClient(t)
	c.store.Now = time.Now().UnixMilli()
	o.do("CONFIG", "SET", "sanitize-dump-payload", "yes")
	o.do("SET", "x", "hello")
	good := bulk(t, o.do("DUMP", "x"))
	reseal := func(body string) string { return string(rdb.AppendFooter([]byte(body), 0)) }
	later := []byte(good)
	binary.LittleEndian.PutUint16(later[len(later)-10:], 99)
	for _, args := range [][]string{
		{"k", "0", good}, {"k", "0", good}, {"k", "0", good, "REPLACE"}, {"k", "-1", good, "REPLACE"}, {"k", "x", good, "REPLACE"},
		{"k", "-1", good}, {"new", "0", ""}, {"new", "0", "short"}, {"new", "0", good[1:]}, {"new", "0", good + "x"}, {"new", "0", string(later)},
		{"new", "0", good, "IDLETIME", "-1"}, {"new", "0", good, "IDLETIME"}, {"new", "0", good, "FREQ", "256"}, {"new", "0", good, "FREQ", "-1"},
		{"new", "0", good, "IDLETIME", "5", "FREQ", "1"}, {"new", "0", good, "IDLETIME", "x"}, {"new", "0", good, "WHAT"}, {"new", "0", good, "idletime", "1000"},
		{"a", "100000", good}, {"b", strconv.FormatInt(c.store.Now+100000, 10), good, "ABSTTL"}, {"k", "1", good, "ABSTTL", "REPLACE"},
		{"c", "0", good, "FREQ", "5"}, {"k", "0", reseal("\x63"), "REPLACE"},
		{"k", "0", reseal("\x02\x00"), "REPLACE"}, {"k", "0", reseal("\x02\x02\x01a\x01a"), "REPLACE"}, {"k", "0", reseal("\x04\x02\x01a\x01a\x01a\x01b"), "REPLACE"},
		{"k", "0", reseal("\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f"), "REPLACE"}, {"k", "0", reseal("\x07\x81\x00\x00\x00\x00\x00\x00\x00\x01"), "REPLACE"},
	} {
		args = append([]string{"RESTORE"}, args...)
		want, got := o.do(args...), c.do(args...)
		if got != want {
			t.Errorf("%.60q:\n got %q\nwant %q", args, got, want)
		}
	}
	if got := c.do("OBJECT", "IDLETIME", "new"); got != ":1000\r\n" {
		t.Errorf("idle for %q", got)
	}
	for _, args := range []string{"GET k", "GET new", "PTTL a", "PTTL b", "DUMP none", "EXISTS k", "DUMP x"} {
		if args == "DUMP x" {
			c.do("SET", "x", "hello")
		}
		want, got := o.do(words(args)...), c.do(words(args)...)
		if got != want && !nearly([]string{"pttl"}, got, want) {
			t.Errorf("%s:\n got %q\nwant %q", args, got, want)
		}
	}
}

// A large value goes through with records of its own for its elements, and leaves
// nothing behind when it turns out to be broken at its end.
func TestRestoreLarge(t *testing.T) {
	c := newClient(t)
	body := rdb.AppendLength([]byte{byte(rdb.TypeHash)}, 5000)
	for i := range 5000 {
		body = rdb.AppendString(rdb.AppendString(body, fmt.Appendf(nil, "field%d", i)), fmt.Appendf(nil, "%d", i))
	}
	whole := string(rdb.AppendFooter([]byte(string(body)), 0))
	cut := string(rdb.AppendFooter([]byte(string(body[:len(body)-1])), 0))
	c.do("SET", "h", "before")
	if got := c.do("RESTORE", "h", "0", cut, "REPLACE"); got != "-ERR Bad data format\r\n" {
		t.Errorf("cut short: %q", got)
	}
	c.expect("GET h", "before", "DBSIZE", "1")
	if got := c.do("RESTORE", "h", "1", whole, "REPLACE", "ABSTTL"); got != "+OK\r\n" {
		t.Errorf("expired: %q", got)
	}
	c.expect("EXISTS h", "0", "DBSIZE", "0")
	if got := c.do("RESTORE", "h", "0", whole); got != "+OK\r\n" {
		t.Errorf("restored: %q", got)
	}
	c.expect("HLEN h", "5000", "HGET h field4711", "4711", "OBJECT ENCODING h", "hashtable")
}

func FuzzRestore(f *testing.F) {
	for _, body := range []string{"\x00\x05hello", "\x02\x02\x01a\x01b", "\x04\x01\x01a\x01b", "\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf0?",
		"\x0b\x0a\x02\x00\x00\x00\x01\x00\x00\x00\x05\x00", "\x10\x0b\x0b\x00\x00\x00\x02\x00\x01\x01\x02\x01\xff", "\x00\xc3\x04\x0a\x00a\xe0\x00\x00"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := newClient(t)
		got := c.do("RESTORE", "k", "0", string(rdb.AppendFooter(body, 0)))
		if got != "+OK\r\n" {
			return
		}
		if got := c.do("RESTORE", "again", "0", bulk(t, c.do("DUMP", "k"))); got != "+OK\r\n" {
			t.Fatalf("what was dumped is not restored: %q", got)
		}
		if a, b := c.do("DUMP", "k"), c.do("DUMP", "again"); shorten(c.do("TYPE", "k")) == "string" && a != b {
			t.Fatalf("%q is not %q", a, b)
		}
	})
}

func TestBuildable(t *testing.T) {
	for kind := rdb.KindString; kind <= rdb.KindModule; kind++ {
		if err := Buildable(kind); (err == nil) != (makers[kind] != nil) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
