package psync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
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

// otherID is the id of a source after a failover.
var otherID = strings.Repeat("f", replIDBytes)

// serveFull has a source serve a file, which it must be asked for.
func serveFull(t *testing.T) func(w io.Writer, psync string) {
	whole := file(t, 3)
	return func(w io.Writer, psync string) {
		if psync != "? -1" {
			t.Errorf("PSYNC %s", psync)
		}
		fmt.Fprintf(w, "+FULLRESYNC %s 1000\r\n$%d\r\n%s", replID, len(whole), whole)
	}
}

// TestTornPlaces: shards that cannot go on together are a reason to copy everything.
func TestTornPlaces(t *testing.T) {
	t.Run("histories", func(t *testing.T) {
		all, _ := shards(t, 2)
		startAt(all, 5)
		all[1].at.History, all[1].at.Index = historyPrefix+otherID, 6
		followAll(t, all, serveFull(t))
	})
	t.Run("what was borrowed has changed", func(t *testing.T) {
		all, _ := shards(t, 2)
		stream := streamOf("RENAME a c")
		from, to := shardOfKey(slot.NewMap(2), []byte("a")), shardOfKey(slot.NewMap(2), []byte("c"))
		if from == to {
			t.Fatal("the keys are in one shard")
		}
		startAt(all, 5)
		all[from].at.Index += raftlog.Index(len(stream))
		f := newFollower(t)
		_, _, err := f.follow(t, all, func(w io.Writer, _ string) {
			fmt.Fprint(w, "+CONTINUE\r\n")
			w.Write(stream)
		})
		if !errors.Is(err, errTorn) {
			t.Errorf("%v", err)
		}
		f.follow(t, all, serveFull(t))
	})
}

// TestNewID: a source that has another id than before says so of one place only. Shards
// at several ones copy everything; others take it over, one after the other.
func TestNewID(t *testing.T) {
	all, _ := shards(t, 2)
	startAt(all, 5)
	all[1].at.Index = 6
	f := newFollower(t)
	_, _, err := f.follow(t, all, func(w io.Writer, _ string) { fmt.Fprintf(w, "+CONTINUE %s\r\n", otherID) })
	if !errors.Is(err, errTorn) {
		t.Errorf("%v", err)
	}
	f.follow(t, all, serveFull(t))
	if all[0].at.Index != 1000 || all[1].at != all[0].at {
		t.Errorf("%+v, %+v", all[0].at, all[1].at)
	}
	for left := range 4 {
		all, c := shards(t, 3)
		startAt(all, 5)
		answer := func(want string) func(w io.Writer, psync string) {
			return func(w io.Writer, psync string) {
				if psync != want+" 6" {
					t.Errorf("PSYNC %s, want %s 6", psync, want)
				}
				fmt.Fprintf(w, "+CONTINUE %s\r\n", otherID)
			}
		}
		c.left = left
		followAll(t, all, answer(replID))
		c.left = -1
		if left == 0 {
			followAll(t, all, answer(replID))
		} else {
			followAll(t, all, answer(otherID))
		}
		for _, l := range all {
			if l.at.History != historyPrefix+otherID || l.at.Index != 5 {
				t.Errorf("after %d steps: %+v", left, l.at)
			}
		}
	}
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
