package hot

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

// index is the order of a generation's records. Keys of one first byte are of one
// kind, and most readers look at one kind. The records of a kind are noted as they
// are made, and sorted into a run when somebody asks for their order; runs of
// similar size are merged. Each record is in one run. Runs never change.
type index struct {
	kinds [256]atomic.Pointer[kindIndex]
}

type kindIndex struct {
	// sorting is held while what was noted is taken away and sorted, so that
	// nobody goes by the runs without it. Lock order: sorting, mu.
	sorting sync.Mutex
	runs    [][]ref // guarded by sorting; longest first, replaced as a whole

	mu struct {
		sync.Mutex
		noted []ref
	}
}

// runRatio is how many times longer than the next a run is at least.
const runRatio = 4

// note takes up records that a batch has made.
func (x *index) note(g *generation, fresh []ref) {
	for len(fresh) > 0 {
		first := g.record(fresh[0]).key()[0]
		n := 1
		for n < len(fresh) && g.record(fresh[n]).key()[0] == first {
			n++
		}
		k := x.kinds[first].Load()
		if k == nil {
			k = &kindIndex{}
			x.kinds[first].Store(k)
		}
		k.mu.Lock()
		k.mu.noted = append(k.mu.noted, fresh[:n]...)
		k.mu.Unlock()
		fresh = fresh[n:]
	}
}

// ordered returns the runs of all records noted so far.
func (k *kindIndex) ordered(g *generation) [][]ref {
	k.sorting.Lock()
	defer k.sorting.Unlock()
	return k.orderedLocked(g)
}

func (k *kindIndex) orderedLocked(g *generation) [][]ref {
	k.mu.Lock()
	noted := k.mu.noted
	k.mu.noted = nil
	k.mu.Unlock()
	if len(noted) == 0 {
		return k.runs
	}
	sortRefs(g, noted)
	runs := append(slices.Clone(k.runs), noted)
	for n := len(runs); n > 1 && len(runs[n-2]) < runRatio*len(runs[n-1]); n-- {
		runs = append(runs[:n-2], merge(g, runs[n-2], runs[n-1]))
	}
	k.runs = runs
	return runs
}

// sorted returns all records of the kind in one run. The generation is frozen.
func (k *kindIndex) sorted(g *generation) []ref {
	k.sorting.Lock()
	defer k.sorting.Unlock()
	runs := slices.Clone(k.orderedLocked(g))
	for n := len(runs); n > 1; n-- {
		runs = append(runs[:n-2], merge(g, runs[n-2], runs[n-1]))
	}
	if len(runs) == 0 {
		return nil
	}
	k.runs = runs
	return runs[0]
}

// search returns the first place in a run whose key is not below key.
func search(g *generation, run []ref, key []byte) int {
	return sort.Search(len(run), func(i int) bool {
		return bytes.Compare(g.record(run[i]).key(), key) >= 0
	})
}

// lookup returns the record of a key; zero: there is none.
func (x *index) lookup(g *generation, key []byte) ref {
	k := x.kinds[key[0]].Load()
	if k == nil {
		return 0
	}
	for _, run := range k.ordered(g) {
		if i := search(g, run, key); i < len(run) && bytes.Equal(g.record(run[i]).key(), key) {
			return run[i]
		}
	}
	return 0
}

// within returns the parts of runs that lie within bounds.
func (x *index) within(g *generation, lower, upper []byte) [][]ref {
	first, last := 0, 255
	if len(lower) != 0 {
		first = int(lower[0])
	}
	if len(upper) != 0 {
		last = int(upper[0])
	}
	var parts [][]ref
	for b := first; b <= last; b++ {
		k := x.kinds[b].Load()
		if k == nil {
			continue
		}
		for _, run := range k.ordered(g) {
			if len(lower) != 0 && b == first {
				run = run[search(g, run, lower):]
			}
			if len(upper) != 0 && b == last {
				run = run[:search(g, run, upper)]
			}
			if len(run) != 0 {
				parts = append(parts, run)
			}
		}
	}
	return parts
}

func merge(g *generation, a, b []ref) []ref {
	all := make([]ref, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if bytes.Compare(g.record(a[0]).key(), g.record(b[0]).key()) < 0 {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// sortKey is a record and the first bytes of its key that tell it from others: a
// comparison that goes by them does not look at the record.
type sortKey struct {
	head uint64
	r    ref
}

func sortRefs(g *generation, refs []ref) {
	if len(refs) < 2 {
		return
	}
	common := g.record(refs[0]).key()
	for _, r := range refs[1:] {
		key := g.record(r).key()
		n := 0
		for n < len(common) && n < len(key) && common[n] == key[n] {
			n++
		}
		common = common[:n]
	}
	keys := make([]sortKey, len(refs))
	for i, r := range refs {
		keys[i] = sortKey{headOf(g.record(r).key()[len(common):]), r}
	}
	slices.SortFunc(keys, func(a, b sortKey) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return bytes.Compare(g.record(a.r).key(), g.record(b.r).key())
	})
	for i := range keys {
		refs[i] = keys[i].r
	}
}

// headOf returns the first 8 bytes of b as a number that orders as they do; keys
// of the same number have to be compared.
func headOf(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var head [8]byte
	copy(head[:], b)
	return binary.BigEndian.Uint64(head[:])
}
