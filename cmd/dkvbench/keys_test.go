package main

import (
	"bytes"
	"compress/flate"
	"math"
	"slices"
	"testing"
	"time"
)

// testSeed is a new seed, printed so that a failure can be repeated.
func testSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return seed
}

func TestZeta(t *testing.T) {
	exact := func(n uint64, theta float64) float64 {
		sum := 0.0
		for i := n; i >= 1; i-- {
			sum += math.Pow(float64(i), -theta)
		}
		return sum
	}
	for _, n := range []uint64{1, 2, 100, 1000, 1001, 50_000, 1_000_000} {
		for _, theta := range []float64{0.1, 0.5, 0.99} {
			if got, want := zeta(n, theta), exact(n, theta); math.Abs(got-want) > 1e-9*want {
				t.Errorf("zeta(%d, %g) = %.12g, want %.12g", n, theta, got, want)
			}
		}
	}
	// The constant that YCSB has for its scrambled zipfian.
	if got := zeta(scrambleItems, 0.99); math.Abs(got-26.46902820178302) > 1e-6 {
		t.Errorf("zeta of YCSB's scrambled zipfian = %.14g", got)
	}
}

// The ranks of the zipfian come as often as they should.
func TestZipfShape(t *testing.T) {
	const n, draws = 1000, 500_000
	z := newZipf(n, 0.99, newRandom(testSeed(t), 0))
	var seen [n]float64
	for range draws {
		seen[z.next()]++
	}
	total := zeta(n, 0.99)
	// Gray's method is exact for the first two ranks and an approximation after.
	for _, tt := range []struct {
		from, to  int
		tolerance float64
	}{{0, 1, 0.02}, {1, 2, 0.03}, {2, 10, 0.15}, {10, 100, 0.05}, {100, 1000, 0.05}} {
		got, want := 0.0, 0.0
		for r := tt.from; r < tt.to; r++ {
			got += seen[r] / draws
			want += math.Pow(float64(r+1), -0.99) / total
		}
		if math.Abs(got-want) > tt.tolerance*want {
			t.Errorf("ranks %d to %d: share %.4f, want %.4f", tt.from, tt.to-1, got, want)
		}
	}
}

func TestZipfSmall(t *testing.T) {
	rnd := newRandom(testSeed(t), 0)
	for n := uint64(1); n <= 5; n++ {
		z := newZipf(n, 0.99, rnd)
		seen := make([]int, n)
		for range 10_000 {
			seen[z.next()]++ // panics when out of range
		}
		if slices.Contains(seen, 0) {
			t.Errorf("of %d ranks: %v", n, seen)
		}
	}
}

// A grown zipfian is like one that began with that size.
func TestZipfGrow(t *testing.T) {
	z := newZipf(100_000, 0.99, newRandom(0, 0))
	for n := uint64(100_001); n <= 120_000; n += 7 {
		z.grow(n)
	}
	fresh := newZipf(z.n, 0.99, nil)
	if math.Abs(z.zetan-fresh.zetan) > 1e-6 || math.Abs(z.eta-fresh.eta) > 1e-6 {
		t.Errorf("grown: zeta %.9f eta %.9f; fresh: %.9f, %.9f", z.zetan, z.eta, fresh.zetan, fresh.eta)
	}
}

// histogramOf draws from a distribution over n records, and returns how often
// each came, the most frequent first, and the most frequent one.
func histogramOf(t *testing.T, dist string, n uint64, draws int) (counts []int, top int) {
	t.Helper()
	ks := &keySpace{base: n}
	p := newPicker(dist, 0.99, ks, newRandom(testSeed(t), 1))
	counts = make([]int, n)
	for i := range draws {
		counts[p.pick(uint64(i))]++
	}
	top = slices.Index(counts, slices.Max(counts))
	slices.SortFunc(counts, func(a, b int) int { return b - a })
	return counts, top
}

func TestDistributions(t *testing.T) {
	const n, draws = 1000, 500_000 // 500 each, when uniform
	uniform, _ := histogramOf(t, "uniform", n, draws)
	if uniform[0] > 700 || uniform[n-1] < 350 { // 500 expected, with a deviation of 22
		t.Errorf("uniform: from %d to %d", uniform[n-1], uniform[0])
	}
	sequential, _ := histogramOf(t, "sequential", n, draws)
	if sequential[0] != sequential[n-1] {
		t.Errorf("sequential: from %d to %d", sequential[n-1], sequential[0])
	}
	// The hottest record has rank 0's share of 10^10 ranks, and what the hash
	// puts on top of it.
	zipfian, _ := histogramOf(t, "zipfian", n, draws)
	share := float64(zipfian[0]) / draws
	if want := 1 / zeta(scrambleItems, 0.99); share < want || share > want+0.02 {
		t.Errorf("zipfian: the hottest record has %.4f, want a little over %.4f", share, want)
	}
	latest, top := histogramOf(t, "latest", n, draws)
	share = float64(latest[0]) / draws
	if want := 1 / zeta(n, 0.99); top != n-1 || math.Abs(share-want) > 0.01 {
		t.Errorf("latest: the hottest record is %d with %.4f, want %d with %.4f", top, share, n-1, want)
	}
}

// The latest record moves with inserts, and records whose insert may be in
// flight are left alone.
func TestLatestFollowsInserts(t *testing.T) {
	ks := &keySpace{base: 1000, inAir: 10}
	p := newPicker("latest", 0.99, ks, newRandom(testSeed(t), 2))
	ks.added.Store(500)
	counts := map[uint64]int{}
	for range 10_000 {
		counts[p.pick(0)]++
	}
	newest := uint64(0)
	for k := range counts {
		newest = max(newest, k)
	}
	if newest != 1489 || counts[1489] < counts[1488] {
		t.Errorf("newest %d, %d times; the one before %d times", newest, counts[1489], counts[1488])
	}
}

func TestSameSeedSameKeys(t *testing.T) {
	for _, dist := range distributions {
		ks := &keySpace{base: 1000}
		a, b := newPicker(dist, 0.99, ks, newRandom(7, 3)), newPicker(dist, 0.99, ks, newRandom(7, 3))
		for i := range uint64(1000) {
			if x, y := a.pick(i), b.pick(i); x != y {
				t.Fatalf("%s: %d and %d", dist, x, y)
			}
		}
	}
}

func TestValues(t *testing.T) {
	rnd := newRandom(testSeed(t), 4)
	v := newValues(10, 20, 0, 5)
	sizes := map[int]int{}
	for range 1000 {
		sizes[len(v.next(rnd))]++
	}
	if len(sizes) != 11 || sizes[9] > 0 || sizes[21] > 0 {
		t.Errorf("sizes %v", sizes)
	}
	for _, share := range []float64{0, 0.5, 0.9} {
		v := newValues(1000, 1000, share, 5)
		var raw bytes.Buffer
		for range 100 {
			raw.Write(v.next(rnd))
		}
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, 9)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(raw.Bytes())
		w.Close()
		if ratio := 1 - float64(packed.Len())/float64(raw.Len()); math.Abs(ratio-share) > 0.1 {
			t.Errorf("compressible %g: %.2f compressed away", share, ratio)
		}
	}
}
