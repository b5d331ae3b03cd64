package psync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/cluster/slot"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
	"dkv/server/command"
	"dkv/server/rdb"
	"dkv/server/script"
)

// TestResume: from where shards go on together.
func TestResume(t *testing.T) {
	place := func(id byte, offset int) (p shard.SourcePosition) {
		p.History, p.Index, p.Term = historyPrefix+strings.Repeat(string(id), replIDBytes), raftlog.Index(offset), raftlog.Term(offset%7)
		return p
	}
	partial := shard.PartialPosition()
	for name, tc := range map[string]struct {
		at   []shard.SourcePosition
		want shard.SourcePosition
		ok   bool
	}{
		"none":                    {at: make([]shard.SourcePosition, 2)},
		"one":                     {at: []shard.SourcePosition{place('a', 5)}, want: place('a', 5), ok: true},
		"the lowest":              {at: []shard.SourcePosition{place('a', 9), place('a', 5), place('a', 7)}, want: place('a', 5), ok: true},
		"half of a new id":        {at: []shard.SourcePosition{place('b', 5), place('a', 5)}, want: place('b', 5), ok: true},
		"torn":                    {at: []shard.SourcePosition{place('b', 6), place('a', 5)}},
		"a part":                  {at: []shard.SourcePosition{partial, place('a', 5)}},
		"a part in a later shard": {at: []shard.SourcePosition{place('a', 5), partial}},
		"one without":             {at: []shard.SourcePosition{place('a', 5), {}}},
		"of a dkv":                {at: []shard.SourcePosition{{History: "0123"}}},
	} {
		got, ok := resume(tc.at)
		if ok != tc.ok || ok && got != tc.want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

// crash has all shards of a node fail after so many steps.
type crash struct {
	mu   sync.Mutex
	left int // -1: never
}

var errCrash = errors.New("crashed")

func (c *crash) step() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return errCrash
	}
	c.left--
	return nil
}

// shards are so many shards over stores in memory, which crash together.
func shards(t testing.TB, n int) (all []*local, c *crash) {
	c = &crash{left: -1}
	for range n {
		all = append(all, &local{store: keyspacetest.New(t), crash: c})
	}
	return all, c
}

// contents are the keys of all shards with their values as DUMP has them.
func contents(t *testing.T, all []*local) map[string]string {
	t.Helper()
	m := make(map[string]string)
	slots := slot.NewMap(len(all))
	for i, l := range all {
		l.store.Read(func(tx *keyspace.Tx) {
			for db := range keyspace.Databases {
				n, err := tx.DBSize(db)
				if err != nil {
					t.Fatal(err)
				}
				var keys [][]byte
				for cursor := keyspace.Cursor(0); ; {
					if cursor, err = tx.Scan(db, cursor, keyspace.ScanOptions{Count: 100}, func(key []byte) { keys = append(keys, bytes.Clone(key)) }); err != nil {
						t.Fatal(err)
					}
					if cursor == 0 {
						break
					}
				}
				if int64(len(keys)) != n {
					t.Errorf("shard %d, database %d: %d keys, DBSIZE %d", i, db, len(keys), n)
				}
				for _, key := range keys {
					if shardOfKey(slots, key) != i {
						t.Errorf("shard %d has the key %s", i, key)
					}
					e, err := tx.Inspect(db, key)
					if err != nil {
						t.Fatal(err)
					}
					p, err := command.AppendPayload(nil, tx, &e)
					if err != nil {
						t.Fatal(err)
					}
					m[fmt.Sprint(db, " ", string(key))] = fmt.Sprintf("%d %q", e.ExpireAt, p)
				}
			}
			if err := tx.ScriptRecords("", func(name string, code []byte) error {
				m[fmt.Sprint("shard ", i, " ", name)] = string(code)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
	return m
}

// streamOf is commands as a source sends them, a line each.
func streamOf(lines string) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(lines) {
		if words := strings.Fields(line); len(words) > 0 {
			fmt.Fprintf(&b, "*%d\r\n", len(words))
			for _, w := range words {
				fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
			}
		}
	}
	return b.Bytes()
}

// across has commands of all sorts that cross shards; what they leave depends on what
// came before, so that nothing may be done twice, or be left out.
const across = `
	SELECT 0
	MSET a 1 b 2 c 3 d 4 e 5 f 6
	MSETNX g 1 h 1 i 1 j 1
	INCR a
	RENAME a z
	INCR z
	RENAMENX z a1
	SET a 10
	APPEND a1 x
	RPUSH l1 1 2 3 4 5
	LMOVE l1 l2 LEFT RIGHT
	LMOVE l1 l2 RIGHT LEFT
	RPOPLPUSH l1 l3
	LMOVE l2 l1 LEFT LEFT
	LMOVE l3 l4 RIGHT RIGHT
	SADD s1 a b c d
	SADD s2 b c x
	SMOVE s1 s2 a
	SMOVE s1 s3 b
	SINTERSTORE s4 s1 s2
	SUNIONSTORE s5 s1 s2 s3 none
	SDIFFSTORE s1 s2 s4
	PING
	ZADD z1 1 a 2 b 3 c
	ZADD z2 5 b 6 d
	ZUNIONSTORE z3 2 z1 z2 WEIGHTS 2 3
	ZINTERSTORE z4 2 z1 z3
	ZRANGESTORE z5 z3 0 1
	ZUNIONSTORE z1 2 z1 z4
	MULTI
	INCR b
	RENAME b b2
	INCR b2
	INCR c
	SELECT 3
	SET other 1
	COPY other other2
	SELECT 0
	INCR d
	EXEC
	MULTI
	INCR c
	INCR d
	INCR e
	INCR f
	EXEC
	COPY s5 s6
	COPY l2 l9
	HSET hash f v g w
	PEXPIREAT hash 4000000000000
	RENAME hash hash2
	COPY hash2 hash3
	XADD x1 1-1 f v
	XGROUP CREATE x1 g 0
	RENAME x1 x2
	XADD x2 2-1 f v
	SETBIT bits1 7 1
	SETBIT bits2 9 1
	BITOP OR bits3 bits1 bits2
	BITOP XOR bits1 bits3 bits2
	PFADD hll1 a b c
	PFADD hll2 c d e
	PFCOUNT hll1
	PFMERGE hll3 hll1 hll2
	SORT l1 BY nosort STORE sorted
	SORT l2 STORE sorted2
	GEOADD geo1 13.361389 38.115556 here
	GEOSEARCHSTORE geo2 geo1 FROMMEMBER here BYRADIUS 1 km ASC COUNT 1
	DEL g h none1 none2
	UNLINK i j
	APPEND a1 y
	SELECT 5
	MSET a 1 b 2 c 3
	SWAPDB 5 6
	MOVE a 7
	SELECT 6
	INCR a
	RENAME a b
	INCR b
	SELECT 0
	INCRBYFLOAT float 0.5
	COPY float float2
	INCRBYFLOAT float 0.5
	FLUSHDB
	SET a 1
	RENAME a b
	INCR b
	SUNIONSTORE gone none1 none2
	MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7
	DEL a b c d e
`

// serve has a source serve a stream from wherever it is asked to.
func serve(t testing.TB, stream []byte, begins int) func(w io.Writer, psync string) {
	return func(w io.Writer, psync string) {
		id, offset, _ := strings.Cut(psync, " ")
		n, err := strconv.Atoi(offset)
		if id != replID || err != nil || n <= begins || n > begins+len(stream)+1 {
			t.Errorf("PSYNC %s", psync)
			return
		}
		fmt.Fprint(w, "+CONTINUE\r\n")
		w.Write(stream[n-1-begins:])
	}
}

// startAt puts shards at an offset.
func startAt(all []*local, offset int) {
	for _, l := range all {
		l.at = shard.SourcePosition{History: historyPrefix + replID}
		l.at.Index = raftlog.Index(offset)
	}
}

func seedOf(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	if s := os.Getenv("DKV_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("DKV_SEED: %v", err)
		}
		seed = v
	}
	t.Logf("seed %d (set DKV_SEED to repeat)", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// cut takes a stream apart after some command, so that there is something to look at
// before all is deleted.
func cut(lines, at string) string {
	before, _, ok := strings.Cut(lines, at)
	if !ok {
		panic("no " + at)
	}
	return before
}

// TestCrashAcross crashes after each step of a stream that crosses shards, and again
// later: what is there in the end is what one shard has that never crashed.
func TestCrashAcross(t *testing.T) {
	rng := seedOf(t)
	const begins = 1000
	for name, lines := range map[string]string{"all": across, "to FLUSHDB": cut(across, "FLUSHDB"), "to SWAPDB": cut(across, "SWAPDB")} {
		stream := streamOf(lines)
		one, _ := shards(t, 1)
		startAt(one, begins)
		followAll(t, one, serve(t, stream, begins))
		want := contents(t, one)
		for _, n := range []int{2, 3, 7} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				for after := 0; ; after++ {
					all, c := shards(t, n)
					startAt(all, begins)
					crashes := 0
					for left := after; ; left = rng.IntN(40) {
						c.left = left
						_, _, err := followAll(t, all, serve(t, stream, begins))
						if !errors.Is(err, errCrash) {
							if err == nil || !strings.Contains(err.Error(), "closed the connection") {
								t.Fatalf("after %d steps: %v", after, err)
							}
							break
						}
						crashes++
						for _, l := range all {
							l.store.Reopen()
						}
					}
					if got := contents(t, all); !maps.Equal(got, want) {
						t.Fatalf("after %d steps: %s", after, differences(got, want))
					}
					for i, l := range all {
						if l.at.Index != begins+raftlog.Index(len(stream)) {
							t.Errorf("shard %d is at %d of %d", i, l.at.Index, begins+len(stream))
						}
					}
					if crashes == 0 {
						break
					}
				}
			})
		}
	}
}

func differences(got, want map[string]string) string {
	var b strings.Builder
	names := slices.Sorted(maps.Keys(want))
	for name := range got {
		if _, ok := want[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if got[name] != want[name] {
			fmt.Fprintf(&b, "%s is %s, want %s\n", name, got[name], want[name])
		}
	}
	return b.String()
}

// TestTornPlaces: shards that cannot go on together, and a source whose new id is not
// known to be that of all places, are a reason to copy everything.
func TestTornPlaces(t *testing.T) {
	whole := file(t, 3)
	full := func(t *testing.T) func(w io.Writer, psync string) {
		return func(w io.Writer, psync string) {
			if psync != "? -1" {
				t.Errorf("PSYNC %s", psync)
			}
			fmt.Fprintf(w, "+FULLRESYNC %s 1000\r\n$%d\r\n%s", replID, len(whole), whole)
		}
	}
	other := strings.Repeat("f", replIDBytes)
	t.Run("histories", func(t *testing.T) {
		all, _ := shards(t, 2)
		startAt(all, 5)
		all[1].at.History, all[1].at.Index = historyPrefix+other, 6
		followAll(t, all, full(t))
	})
	t.Run("a new id", func(t *testing.T) {
		all, _ := shards(t, 2)
		startAt(all, 5)
		all[1].at.Index = 6
		f := newFollower(t)
		_, _, err := f.follow(t, all, func(w io.Writer, _ string) { fmt.Fprintf(w, "+CONTINUE %s\r\n", other) })
		if !errors.Is(err, errTorn) {
			t.Errorf("%v", err)
		}
		f.follow(t, all, full(t))
		if all[0].at.Index != 1000 || all[1].at != all[0].at {
			t.Errorf("%+v, %+v", all[0].at, all[1].at)
		}
	})
	t.Run("a new id of level shards", func(t *testing.T) {
		for left := range 4 {
			all, c := shards(t, 3)
			startAt(all, 5)
			c.left = left
			answer := func(want string) func(w io.Writer, psync string) {
				return func(w io.Writer, psync string) {
					if psync != want+" 6" {
						t.Errorf("PSYNC %s, want %s 6", psync, want)
					}
					fmt.Fprintf(w, "+CONTINUE %s\r\n", other)
				}
			}
			followAll(t, all, answer(replID))
			c.left = -1
			if left == 0 {
				followAll(t, all, answer(replID))
			} else {
				followAll(t, all, answer(other))
			}
			for _, l := range all {
				if l.at.History != historyPrefix+other || l.at.Index != 5 {
					t.Errorf("%+v", l.at)
				}
			}
		}
	})
	t.Run("what was borrowed has changed", func(t *testing.T) {
		all, _ := shards(t, 2)
		stream := streamOf("RENAME a c")
		var slots [2]int
		slots[0], slots[1] = shardOfKey(slot.NewMap(2), []byte("a")), shardOfKey(slot.NewMap(2), []byte("c"))
		if slots[0] == slots[1] {
			t.Fatal("the keys are in one shard")
		}
		startAt(all, 5)
		all[slots[0]].at.Index += raftlog.Index(len(stream)) // which a power failure under fsync no may do
		f := newFollower(t)
		_, _, err := f.follow(t, all, func(w io.Writer, _ string) {
			fmt.Fprint(w, "+CONTINUE\r\n")
			w.Write(stream)
		})
		if !errors.Is(err, errTorn) {
			t.Errorf("%v", err)
		}
		f.follow(t, all, full(t))
	})
}

// TestCrashInLoad crashes at each step of a load: the first shard is partial as long as
// any is, and what is there in the end is whole.
func TestCrashInLoad(t *testing.T) {
	var b bytes.Buffer
	w := rdb.NewWriter(&b)
	w.Function([]byte(library))
	w.Select(2, 1, 0)
	for i := range 200 {
		w.Key(fmt.Appendf(nil, "key%d", i), rdb.TypeString, rdb.AppendString(nil, bytes.Repeat([]byte("x"), 20000)), 0)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	serve := func(w io.Writer, psync string) {
		if psync != "? -1" {
			t.Errorf("PSYNC %s", psync)
		}
		fmt.Fprintf(w, "+FULLRESYNC %s 1000\r\n$%d\r\n%s", replID, b.Len(), b.Bytes())
	}
	for after := 0; ; after++ {
		all, c := shards(t, 3)
		c.left = after
		_, _, err := followAll(t, all, serve)
		if !errors.Is(err, errCrash) {
			if after < 10 {
				t.Errorf("%d steps", after)
			}
			break
		}
		for i, l := range all {
			if l.at.History != "" && !l.at.Partial() && after > 0 && !all[0].at.Partial() {
				t.Errorf("after %d steps: shard 0 is at %+v, shard %d at %+v", after, all[0].at, i, l.at)
			}
		}
		c.left = -1
		followAll(t, all, serve)
		got := contents(t, all)
		for i, l := range all {
			if l.at.Index != 1000 || got[fmt.Sprintf("shard %d library:lib", i)] != library {
				t.Errorf("after %d steps: shard %d is at %+v, its library %q", after, i, l.at, got[fmt.Sprintf("shard %d library:lib", i)])
			}
		}
		if len(got) != 200+2*len(all) {
			t.Errorf("after %d steps: %d keys and records", after, len(got))
		}
	}
}

const library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"

func testScripts() Scripts {
	return script.New(script.Options{MemoryLimit: func() int64 { return 64 << 20 }})
}

// TestFailuresAcross: commands that cannot be done over several shards are named, and
// what came before them stays.
func TestFailuresAcross(t *testing.T) {
	for name, tc := range map[string]struct{ send, want string }{
		"SORT by keys":     {"RPUSH l1 1 2\nINCR a\nSORT l1 BY w_* STORE l2", "sort"},
		"SORT by near":     {"RPUSH {x}l1 1 2\nINCR a\nSORT {x}l1 BY w_* STORE {x}l2", "sort"},
		"a failing one":    {"INCR a\nRPUSH l1 x\nSUNIONSTORE s1 l1 s2", "sunionstore"},
		"unknown":          {"INCR a\nNOPE b", "NOPE"},
		"EXEC twice":       {"EXEC\nINCR a\nEXEC\nEXEC", "EXEC without MULTI"},
		"one in a shard":   {"INCR a\nHSET a f v", "hset"},
		"in a transaction": {"INCR a\nMULTI\nRPUSH l1 1\nSORT l1 BY w_* STORE l2\nEXEC", "sort"},
	} {
		t.Run(name, func(t *testing.T) {
			all, _ := shards(t, 3)
			startAt(all, 0)
			for range 2 {
				_, _, err := followAll(t, all, serve(t, streamOf(tc.send+"\nINCR a"), 0))
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%v", err)
				}
				one := all[shardOfKey(slot.NewMap(3), []byte("a"))]
				if got := one.do(t, "GET a"); got != "$1 1 " {
					t.Errorf("a is %q", got)
				}
			}
		})
	}
}

// TestFunctionsInStream: each shard has them.
func TestFunctionsInStream(t *testing.T) {
	for _, n := range []int{1, 3} {
		all, _ := shards(t, n)
		startAt(all, 0)
		send := fmt.Sprintf("*3\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$%d\r\n%s\r\n", len(library), library)
		followAll(t, all, serve(t, []byte(send), 0))
		for i := range all {
			if got := contents(t, all)[fmt.Sprintf("shard %d library:lib", i)]; got != library {
				t.Errorf("%d shards: shard %d has %q", n, i, got)
			}
		}
	}
}

// Read is LinkOptions.Read.
func readLocal(all []*local) func(ctx context.Context, id raftlog.ShardID, f func(tx *keyspace.Tx) error) error {
	return func(_ context.Context, id raftlog.ShardID, f func(tx *keyspace.Tx) error) (err error) {
		all[id].store.Read(func(tx *keyspace.Tx) { err = f(tx) })
		return err
	}
}
