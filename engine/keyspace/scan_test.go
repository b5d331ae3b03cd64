package keyspace_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// scanAll scans a database to its end and returns how often each key came, and how
// many calls it took. between runs between two calls.
func scanAll(t *testing.T, s *keyspacetest.Store, o keyspace.ScanOptions, between func()) (seen map[string]int, calls int) {
	t.Helper()
	seen = map[string]int{}
	var cursor keyspace.Cursor
	for {
		s.Read(func(tx *keyspace.Tx) {
			var err error
			emitted := 0
			cursor, err = tx.Scan(0, cursor, o, func(key []byte) {
				seen[string(key)]++
				emitted++
			})
			if err != nil {
				t.Fatal(err)
			}
			if emitted > o.Count {
				t.Fatalf("%d keys in a call with COUNT %d", emitted, o.Count)
			}
		})
		calls++
		if cursor == 0 {
			return seen, calls
		}
		if calls > 100_000 {
			t.Fatal("the scan does not end")
		}
		if between != nil {
			between()
		}
	}
}

func fillKeys(s *keyspacetest.Store, n int, name func(i int) string) {
	s.Write(func(tx *keyspace.Tx) {
		for i := range n {
			setKey(tx, 0, name(i), "v", 0)
		}
	})
}

func TestScanReturnsEveryKeyOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		key  func(i int) string
	}{
		{"spread", func(i int) string { return fmt.Sprint("key:", i) }},
		{"one slot", func(i int) string { return fmt.Sprint("{tag}", i) }},
	} {
		s := keyspacetest.New(t)
		const n = 1000
		fillKeys(s, n, c.key)
		for _, count := range []int{1, 7, 10, n - 1, n, n + 1} {
			seen, calls := scanAll(t, s, keyspace.ScanOptions{Count: count}, nil)
			if len(seen) != n {
				t.Errorf("%s, COUNT %d: %d keys", c.name, count, len(seen))
			}
			for key, times := range seen {
				if times != 1 {
					t.Errorf("%s, COUNT %d: %s came %d times", c.name, count, key, times)
				}
			}
			if want := (n + count - 1) / count; calls != want {
				t.Errorf("%s, COUNT %d: %d calls, want %d", c.name, count, calls, want)
			}
		}
	}
}

// What is there from beginning to end must come, whatever else comes and goes, and
// across restarts.
func TestScanGuarantee(t *testing.T) {
	random := seed(t)
	s := keyspacetest.New(t)
	stays := func(i int) string {
		if i%2 == 0 {
			return fmt.Sprint("{slot}stays", i)
		}
		return fmt.Sprint("stays", i)
	}
	const n = 400
	fillKeys(s, n, stays)
	for _, restarts := range []bool{false, true} {
		calls := 0
		seen, _ := scanAll(t, s, keyspace.ScanOptions{Count: 7}, func() {
			if calls++; restarts && calls%50 == 0 {
				s.Reopen()
			}
			s.Write(func(tx *keyspace.Tx) {
				for range 5 {
					key := fmt.Sprint("{slot}comes", random.IntN(200))
					if random.IntN(2) == 0 {
						setKey(tx, 0, key, "v", 0)
					} else {
						deleteKey(tx, 0, key)
					}
				}
			})
		})
		for i := range n {
			if seen[stays(i)] == 0 {
				t.Errorf("restarts %v: %s was missed", restarts, stays(i))
			}
		}
	}
}

func TestScanFilters(t *testing.T) {
	s := keyspacetest.New(t)
	s.Write(func(tx *keyspace.Tx) {
		for i := range 3000 {
			setKey(tx, 0, fmt.Sprint("key:", i), "v", 0)
		}
		for i := range 10 {
			setKey(tx, 0, fmt.Sprint("rare:", i), "v", 0)
			setKey(tx, 0, fmt.Sprint("{tag}:", i), "v", 0)
		}
		setKey(tx, 0, "rare:expired", "v", s.Now-1)
		setKey(tx, 0, `a*b`, "v", 0)
		setKey(tx, 0, "", "v", 0)
	})
	for _, c := range []struct {
		match string
		want  int
	}{
		{"rare:*", 10}, {"*:5", 3}, {"{tag}:*", 10}, {"{tag}*", 10}, {"{ta*", 10}, {"key:17", 1}, {"nothing*", 0},
		{`a\*b`, 1}, {`a\*b*`, 1}, {"rare:[0-4]", 5}, {"rare:?", 10}, {"{tag}:7", 1}, {"*", 3022}, {"", 1}, {"**", 3021},
	} {
		seen, calls := scanAll(t, s, keyspace.ScanOptions{Count: 10_000, Match: []byte(c.match)}, nil)
		if len(seen) != c.want {
			t.Errorf("MATCH %q: %d keys in %d calls, want %d", c.match, len(seen), calls, c.want)
		}
		n := 0
		s.Read(func(tx *keyspace.Tx) {
			if err := tx.Keys(0, []byte(c.match), func([]byte) { n++ }); err != nil {
				t.Fatal(err)
			}
		})
		if n != c.want {
			t.Errorf("KEYS %q: %d keys, want %d", c.match, n, c.want)
		}
		if seen, _ := scanAll(t, s, keyspace.ScanOptions{Count: 10, Match: []byte(c.match)}, nil); len(seen) != c.want {
			t.Errorf("MATCH %q COUNT 10: %d keys, want %d", c.match, len(seen), c.want)
		}
	}
	if seen, _ := scanAll(t, s, keyspace.ScanOptions{Count: 100, Type: keyspace.TypeHash}, nil); len(seen) != 0 {
		t.Errorf("TYPE hash: %v", seen)
	}
	if seen, _ := scanAll(t, s, keyspace.ScanOptions{Count: 100, Type: keyspace.TypeString}, nil); len(seen) != 3022 {
		t.Errorf("TYPE string: %d keys", len(seen))
	}
}

// A cursor that nobody gave out goes on somewhere, and comes to an end.
func TestScanForeignCursor(t *testing.T) {
	s := keyspacetest.New(t)
	fillKeys(s, 100, func(i int) string { return fmt.Sprint("key:", i) })
	random := seed(t)
	for range 100 {
		cursor := keyspace.Cursor(random.Uint64())
		for calls := 0; cursor != 0; calls++ {
			if calls > 100 {
				t.Fatal("the scan does not end")
			}
			s.Read(func(tx *keyspace.Tx) {
				cursor = must(tx.Scan(0, cursor, keyspace.ScanOptions{Count: 10}, func([]byte) {}))
			})
		}
	}
}

// countingReader counts how often its iterators move.
type countingReader struct {
	engine.Reader
	moves int
}

func (r *countingReader) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	it, err := r.Reader.NewIter(o)
	return &countingIterator{it, r}, err
}

type countingIterator struct {
	engine.Iterator
	r *countingReader
}

func (it *countingIterator) First() bool            { it.r.moves++; return it.Iterator.First() }
func (it *countingIterator) Next() bool             { it.r.moves++; return it.Iterator.Next() }
func (it *countingIterator) SeekGE(key []byte) bool { it.r.moves++; return it.Iterator.SeekGE(key) }

// Ten of many keys match a prefix: no call may read all the others.
func TestScanPrefixSeeks(t *testing.T) {
	const keys, most = 100_000, 512 + 10
	s := keyspacetest.New(t)
	for from := 0; from < keys; from += 10_000 {
		s.Write(func(tx *keyspace.Tx) {
			for i := from; i < from+10_000; i++ {
				setKey(tx, 0, fmt.Sprint("many:", i), "value", 0)
			}
		})
	}
	fillKeys(s, 10, func(i int) string { return fmt.Sprint("few:", i) })
	fillKeys(s, 10, func(i int) string { return fmt.Sprint("zfew:", i) })
	fillKeys(s, 10, func(i int) string { return fmt.Sprint("{zfew}:", i) })
	for _, c := range []struct {
		match     string
		want      int
		mostCalls int
	}{
		{"few:*", 10, 70}, {"zfew:*", 10, 70}, {"nothing*", 0, 70}, {"{zfew}:*", 10, 2}, {"many:77", 1, 1},
	} {
		var tx keyspace.Tx
		var cursor keyspace.Cursor
		found, calls := 0, 0
		for calls == 0 || cursor != 0 {
			r := &countingReader{Reader: s.Engine()}
			s.Keyspace().BeginRead(&tx, r, s.Now)
			o := keyspace.ScanOptions{Count: 10, Match: []byte(c.match)}
			cursor = must(tx.Scan(0, cursor, o, func([]byte) { found++ }))
			if calls++; r.moves > most {
				t.Fatalf("%s: call %d moved %d times", c.match, calls, r.moves)
			}
		}
		if found != c.want || calls > c.mostCalls {
			t.Errorf("%s: %d keys in %d calls", c.match, found, calls)
		}
	}
}

func TestRandomKey(t *testing.T) {
	s := keyspacetest.New(t)
	pick := func() (key string, ok bool) {
		s.Read(func(tx *keyspace.Tx) {
			k, found, err := tx.RandomKey(0)
			if err != nil {
				t.Fatal(err)
			}
			key, ok = string(k), found
		})
		return key, ok
	}
	if key, ok := pick(); ok {
		t.Errorf("an empty database has %q", key)
	}
	s.Write(func(tx *keyspace.Tx) {
		for i := range 20 {
			setKey(tx, 0, fmt.Sprint("live", i), "v", 0)
			setKey(tx, 0, fmt.Sprint("expired", i), "v", s.Now-1)
		}
	})
	seen := map[string]bool{}
	for range 1000 {
		key, ok := pick()
		if !ok || !strings.HasPrefix(key, "live") {
			t.Fatalf("%q, %v", key, ok)
		}
		seen[key] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d of 20 keys came in 1000 draws", len(seen))
	}
	fillKeys(s, 5000, func(i int) string { return fmt.Sprint("live", i) })
	seen = map[string]bool{}
	for range 5000 {
		key, ok := pick()
		if !ok || !strings.HasPrefix(key, "live") {
			t.Fatalf("%q, %v", key, ok)
		}
		seen[key] = true
	}
	if len(seen) < 1500 {
		t.Errorf("%d of 5000 keys came in 5000 draws", len(seen))
	}
	// All expired, few or many: it must end.
	s.Write(func(tx *keyspace.Tx) {
		for i := range 5000 {
			setKey(tx, 0, fmt.Sprint("live", i), "v", s.Now-1)
		}
	})
	if key, ok := pick(); ok {
		t.Errorf("%q is expired", key)
	}
}

// Readers over the live engine must never see a database through another's map.
func TestSwapUnderLiveReaders(t *testing.T) {
	s := keyspacetest.New(t)
	s.Write(func(tx *keyspace.Tx) {
		setKey(tx, 0, "k", "zero", 0)
		setKey(tx, 1, "k", "one", 0)
		setKey(tx, 1, "more", "one", 0)
	})
	done := make(chan struct{})
	errs := make(chan string, 4)
	for range 2 {
		go func() {
			var tx keyspace.Tx
			for {
				select {
				case <-done:
					errs <- ""
					return
				default:
				}
				s.Keyspace().BeginRead(&tx, s.Engine(), s.Now)
				// Whichever batch is seen, database 0 holds "zero" and one key.
				if v, ok := getKey(&tx, 0, "k"); !ok || v != "zero" {
					errs <- fmt.Sprintf("database 0 holds %q, %v", v, ok)
					return
				}
				if n := must(tx.DBSize(0)); n != 1 {
					errs <- fmt.Sprintf("database 0 has %d keys", n)
					return
				}
			}
		}()
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		s.Write(func(tx *keyspace.Tx) {
			// Swap, and put everything back by hand, in one batch.
			tx.SwapDB(0, 1)
			setKey(tx, 0, "k", "zero", 0)
			deleteKey(tx, 0, "more")
			setKey(tx, 1, "k", "one", 0)
			setKey(tx, 1, "more", fmt.Sprint(random.IntN(10)), 0)
		})
	}
	close(done)
	for range 2 {
		if text := <-errs; text != "" {
			t.Error(text)
		}
	}
}
