package differential

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

const (
	// connections that a sequence uses; one more looks at the data.
	connections = 2
	databases   = 16
	replyLimit  = 20 * time.Second
	expireLimit = 5 * time.Second
	scanRounds  = 100_000
)

// pair is the two servers that are compared.
type pair struct {
	t     testing.TB
	redis *harness.Server
	dkv   *harness.Server
	// inCluster says that dkv is a node of a cluster, and says so.
	inCluster bool
	// forms are what sequences are made of, and lead what they begin with; nil: see newGenerator.
	forms []string
	lead  [][]string
}

func startPair(t *testing.T, dkvFlags ...string) *pair {
	t.Helper()
	return &pair{t: t, redis: harness.Redis(t), dkv: harness.Dkv(t, append([]string{"-fsync", "no"}, dkvFlags...)...)}
}

// mismatch is a step whose replies differ.
type mismatch struct {
	step       step
	redis, dkv harness.Reply
	why        string
}

func (m *mismatch) String() string {
	return fmt.Sprintf("%s\n  redis: %s\n  dkv:   %s\n  %s", m.step, shorten(m.redis.String()), shorten(m.dkv.String()), m.why)
}

func shorten(s string) string {
	const limit = 600
	if len(s) > limit {
		return fmt.Sprintf("%s... (%d bytes)", s[:limit], len(s))
	}
	return s
}

// player plays one sequence.
type player struct {
	pair   *pair
	conns  [connections + 1]duo
	queued [connections][][]string
	multi  [connections]bool
	// emptied says that a whole database was emptied or swapped since the
	// connection's WATCH.
	emptied [connections]bool
	// lapsing says that a command of the sequence gave a key a time to live.
	lapsing bool
	// over says that the two have parted ways as they may: what follows cannot
	// be compared.
	over bool
}

// duo is a connection to each of the two.
type duo struct{ redis, dkv *harness.Conn }

// control is the connection that looks at the data between steps.
const control = connections

// play runs the steps on empty servers. It returns the first mismatch, nil when
// there is none.
func (p *pair) play(steps []step) *mismatch {
	if p.dkv.PID() == 0 { // it died in the sequence before
		p.dkv.MustStart(p.t)
	}
	pl := &player{pair: p}
	defer pl.close()
	for i := range pl.conns {
		pl.dial(i)
	}
	for _, args := range append([][]string{{"CLIENT", "UNPAUSE"}, {"FLUSHALL"}}, p.lead...) {
		if m := pl.run(step{conn: control, args: args}); m != nil {
			return m
		}
	}
	for start := 0; start < len(steps); {
		end := start + 1
		for end < len(steps) && sentAlong(steps[end-1], steps[end]) {
			end++
		}
		if m := pl.runAll(steps[start:end]); m != nil || pl.over {
			return m
		}
		start = end
	}
	return pl.compareData()
}

// sentAlong reports whether b goes into the same write as a.
func sentAlong(a, b step) bool {
	return a.more && a.conn == b.conn && !strings.HasPrefix(a.args[0], "!") && !strings.HasPrefix(b.args[0], "!")
}

func (pl *player) run(s step) *mismatch { return pl.runAll([]step{s}) }

// runAll sends steps of one connection in one write and compares their replies.
func (pl *player) runAll(steps []step) *mismatch {
	conn := steps[0].conn
	if strings.HasPrefix(steps[0].args[0], "!") {
		return pl.runPseudo(steps[0])
	}
	d := pl.conns[conn]
	for _, c := range []*harness.Conn{d.redis, d.dkv} {
		for _, s := range steps {
			c.Queue(s.args...)
		}
		c.SetDeadline(time.Now().Add(replyLimit))
		c.Flush() // a failure shows when reading
	}
	for _, s := range steps {
		a, errA := read(d.redis)
		b, errB := read(d.dkv)
		if errA == nil || errB == nil {
			if why := pl.compare(s, a, b); why != "" {
				return &mismatch{step: s, redis: a, dkv: b, why: why}
			}
		}
		if errA != nil || errB != nil {
			// Both closed the connection, which is agreement.
			pl.dial(conn)
			return nil
		}
	}
	return nil
}

// compare compares two replies and follows the state of MULTI.
func (pl *player) compare(s step, redis, dkv harness.Reply) string {
	var queued [][]string
	if s.conn < connections {
		if pl.over {
			return "" // the rest of a pipeline
		}
		if s.name() == "EXEC" && dkv.Null && redis.Kind == '*' && (pl.emptied[s.conn] || pl.lapsing) {
			pl.over = true
			abortedByFlush.Add(1)
			return ""
		}
		pl.watch(s, string(redis.Raw))
		if s.name() == "EXEC" {
			queued = pl.queued[s.conn]
		}
		switch reply := string(redis.Raw); {
		case s.name() == "MULTI" && reply == "+OK\r\n":
			pl.multi[s.conn] = true
		case reply == "+QUEUED\r\n":
			pl.queued[s.conn] = append(pl.queued[s.conn], s.args)
		case slices.Contains([]string{"EXEC", "DISCARD", "RESET"}, s.name()) && !wrongArity(redis):
			pl.queued[s.conn], pl.multi[s.conn] = nil, false
		}
	}
	if pl.pair.inCluster {
		dkv = asAlone(s.args, queued, dkv)
	}
	return differ(s.args, queued, redis, dkv)
}

// watch keeps account of commands that change whole databases. Redis marks the
// watched keys that they touch; dkv marks them all, since it does not list what
// it deletes, and so aborts a transaction that watches a key which was absent
// all the time. The same goes for a key that had expired before WATCH and is
// deleted after it. A false abort is allowed, a missed change is not.
func (pl *player) watch(s step, reply string) {
	switch s.name() {
	case "UNWATCH", "EXEC", "DISCARD", "RESET":
		// Those that fail, or are queued, leave the watched keys as they are.
		if !strings.HasPrefix(reply, "-ERR") && reply != "+QUEUED\r\n" {
			pl.emptied[s.conn] = false
		}
	case "FLUSHALL", "FLUSHDB", "SWAPDB":
		for i := range pl.emptied {
			pl.emptied[i] = true
		}
	case "PSETEX", "SETEX", "SET", "GETEX", "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT":
		pl.lapsing = pl.lapsing || s.name() != "SET" || len(s.args) > 3
	}
}

func wrongArity(r harness.Reply) bool {
	return strings.HasPrefix(string(r.Raw), "-ERR wrong number of arguments")
}

// read reads one reply; a connection that ended or hangs gets a reply in words,
// so that it can be compared and shown.
func read(c *harness.Conn) (harness.Reply, error) {
	r, err := c.Read()
	var timeout net.Error
	switch {
	case err == nil:
		return r, nil
	case errors.As(err, &timeout) && timeout.Timeout():
		r.Raw = fmt.Appendf(r.Raw, "<no reply for %v>", replyLimit)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrClosed):
		r.Raw = append(r.Raw, "<closed>"...)
	default:
		r.Raw = fmt.Appendf(r.Raw, "<%v>", err)
	}
	return r, err
}

func (pl *player) runPseudo(s step) *mismatch {
	if pl.multi[min(s.conn, connections-1)] && s.conn < connections {
		return nil // it would be queued
	}
	if s.args[0] == "!dbsize" {
		return pl.awaitSize(s)
	}
	d := pl.conns[s.conn]
	replies := make([]harness.Reply, 2)
	for i, c := range []*harness.Conn{d.redis, d.dkv} {
		var err error
		switch c.SetDeadline(time.Now().Add(replyLimit)); s.args[0] {
		case "!expired":
			replies[i], err = awaitExpired(c, s.args[1])
		case "!scan":
			replies[i], err = scanAll(c, s.args[1:])
		default:
			pl.pair.t.Fatalf("no such step: %s", s)
		}
		if err != nil {
			replies[i].Raw = fmt.Appendf(nil, "<%v>", err)
		}
	}
	if why := differ(s.args, nil, replies[0], replies[1]); why != "" {
		return &mismatch{step: s, redis: replies[0], dkv: replies[1], why: why}
	}
	return nil
}

// awaitSize asks both for DBSIZE until they agree, or have had the time to
// delete all that has expired.
func (pl *player) awaitSize(s step) *mismatch {
	d := pl.conns[s.conn]
	for deadline := time.Now().Add(expireLimit); ; {
		m := &mismatch{step: s, why: "another number of keys"}
		for c, r := range map[*harness.Conn]*harness.Reply{d.redis: &m.redis, d.dkv: &m.dkv} {
			c.SetDeadline(time.Now().Add(replyLimit))
			c.Queue("DBSIZE")
			c.Flush()
			*r, _ = read(c)
		}
		if bytes.Equal(m.redis.Raw, m.dkv.Raw) {
			return nil
		}
		if time.Now().After(deadline) {
			return m
		}
	}
}

// awaitExpired waits until the key is gone, unless it has no expiry or one that
// is far away. EXISTS of a key answers for the database the connection is in.
func awaitExpired(c *harness.Conn, key string) (harness.Reply, error) {
	for deadline := time.Now().Add(expireLimit); ; {
		r, err := c.Call("PTTL", key)
		if err != nil {
			return r, err
		}
		if left, ok := r.Int(); !ok || left < 0 || left > expireLimit.Milliseconds() {
			return harness.Reply{}, nil // the steps that follow will compare
		}
		if time.Now().After(deadline) {
			return r, errors.New("the key does not expire")
		}
	}
}

// scanAll returns what a whole SCAN loop returned, each key once. The reply of
// the last call when that was an error.
func scanAll(c *harness.Conn, args []string) (harness.Reply, error) {
	found := make(map[string]bool)
	all := harness.Reply{Kind: '*'}
	cursor := "0"
	for range scanRounds {
		r, err := c.Call(append([]string{"SCAN", cursor}, args...)...)
		if err != nil || len(r.Elems) != 2 {
			return r, err
		}
		for _, key := range r.Elems[1].Elems {
			if !found[string(key.Raw)] {
				found[string(key.Raw)] = true
				all.Elems = append(all.Elems, key)
			}
		}
		if cursor = string(r.Elems[0].Str); cursor == "0" {
			for _, e := range all.Elems {
				all.Raw = append(all.Raw, e.Raw...)
			}
			return all, nil
		}
	}
	return all, errors.New("SCAN does not end")
}

// compareData compares what the two hold after a sequence: every key of every
// database, its value and its time to live.
func (pl *player) compareData() *mismatch {
	for db := range databases {
		for _, args := range [][]string{{"SELECT", fmt.Sprint(db)}, {"!dbsize"}, {"KEYS", "*"}} {
			if m := pl.run(step{conn: control, args: args}); m != nil {
				return m
			}
		}
		names, err := pl.conns[control].redis.Call("KEYS", "*")
		if err != nil {
			pl.pair.t.Fatal(err)
		}
		for _, key := range names.Elems {
			for _, command := range []string{"TYPE", "GET", "PTTL"} {
				if m := pl.run(step{conn: control, args: []string{command, string(key.Str)}}); m != nil {
					m.why += " (data at the end, database " + fmt.Sprint(db) + ")"
					return m
				}
			}
		}
	}
	return nil
}

func (pl *player) dial(i int) {
	pl.conns[i].close()
	var err error
	if pl.conns[i].redis, err = harness.Dial(pl.pair.redis.Addr()); err != nil {
		pl.pair.t.Fatalf("redis-server: %v\n%s", err, pl.pair.redis.Logs())
	}
	if pl.conns[i].dkv, err = harness.Dial(pl.pair.dkv.Addr()); err != nil {
		pl.pair.t.Fatalf("dkvsrv: %v\n%s", err, pl.pair.dkv.Logs())
	}
	if i < connections {
		pl.queued[i], pl.multi[i] = nil, false
	}
}

func (pl *player) close() {
	for _, d := range pl.conns {
		d.close()
	}
}

func (d duo) close() {
	if d.redis != nil {
		d.redis.Close()
	}
	if d.dkv != nil {
		d.dkv.Close()
	}
}
