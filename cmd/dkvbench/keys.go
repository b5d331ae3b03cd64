package main

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
)

// picker chooses the number of the record that an operation works on. Each
// connection has its own.
type picker interface {
	// pick returns a record number. ticket is the operation's own number
	// within the phase.
	pick(ticket uint64) uint64
}

// keySpace is what a phase's connections share about the records.
type keySpace struct {
	base  uint64        // records before the phase
	added atomic.Uint64 // inserts begun in the phase
	inAir uint64        // at most so many of them are not finished
}

// settled is the number of records, leaving out inserts that may be unfinished.
func (k *keySpace) settled() uint64 {
	added := k.added.Load()
	return k.base + added - min(added, k.inAir)
}

// distributions are the ways to choose keys.
var distributions = []string{"uniform", "zipfian", "latest", "sequential"}

func newPicker(dist string, theta float64, ks *keySpace, rnd *random) picker {
	switch dist {
	case "zipfian":
		return &scrambled{z: newZipf(scrambleItems, theta, rnd), ks: ks}
	case "latest":
		return &latest{z: newZipf(ks.base, theta, rnd), ks: ks}
	case "sequential":
		return sequential{ks}
	}
	return &uniform{ks, rnd}
}

// uniform: every record is as likely as any other.
type uniform struct {
	ks  *keySpace
	rnd *random
}

func (u *uniform) pick(uint64) uint64 { return u.rnd.below(u.ks.settled()) }

// sequential: one record after the other, shared by all connections, from the
// first again after the last.
type sequential struct{ ks *keySpace }

func (s sequential) pick(ticket uint64) uint64 { return ticket % s.ks.base }

// scrambleItems is the number of items that YCSB's scrambled zipfian draws its
// rank from, whatever the number of records.
const scrambleItems = 10_000_000_000

// scrambled is YCSB's ScrambledZipfianGenerator: a zipfian rank, hashed so that
// the popular records lie scattered over the key space.
// https://github.com/brianfrankcooper/YCSB
type scrambled struct {
	z  *zipf
	ks *keySpace
}

func (s *scrambled) pick(uint64) uint64 { return fnv64(s.z.next()) % s.ks.settled() }

// fnv64 is FNV-1a over the 8 bytes of v, the lowest first.
func fnv64(v uint64) uint64 {
	h := uint64(0xcbf29ce484222325)
	for range 8 {
		h = (h ^ v&0xff) * 0x100000001b3
		v >>= 8
	}
	return h
}

// latest is YCSB's SkewedLatestGenerator: the newest record is the most
// popular one.
type latest struct {
	z  *zipf
	ks *keySpace
}

func (l *latest) pick(uint64) uint64 {
	n := l.ks.settled()
	l.z.grow(n)
	return n - 1 - min(l.z.next(), n-1)
}

// zipf draws ranks 0 to n-1, rank r with a probability in proportion to
// 1/(r+1)^theta, by the method of Gray et al., "Quickly Generating
// Billion-Record Synthetic Databases" (SIGMOD 1994), as YCSB does.
type zipf struct {
	rnd                     *random
	n                       uint64
	theta                   float64
	zetan, zeta2, eta, half float64
	alpha                   float64
}

// newZipf needs n >= 1 and 0 < theta < 1.
func newZipf(n uint64, theta float64, rnd *random) *zipf {
	z := &zipf{rnd: rnd, theta: theta, alpha: 1 / (1 - theta), half: 1 + math.Pow(0.5, theta)}
	z.zeta2 = zeta(2, theta)
	z.resize(n, zeta(n, theta))
	return z
}

func (z *zipf) resize(n uint64, zetan float64) {
	z.n, z.zetan = n, zetan
	z.eta = (1 - math.Pow(2/float64(n), 1-z.theta)) / (1 - z.zeta2/zetan)
}

// grow makes n the number of ranks. The new ranks' weight is taken as that of
// the middle one: they are a tail whose weights differ little.
func (z *zipf) grow(n uint64) {
	if n <= z.n {
		return
	}
	middle := float64(z.n) + float64(n-z.n)/2
	z.resize(n, z.zetan+float64(n-z.n)*math.Pow(middle, -z.theta))
}

func (z *zipf) next() uint64 {
	u := z.rnd.float()
	switch uz := u * z.zetan; {
	case uz < 1 || z.n == 1:
		return 0
	case uz < z.half || z.n == 2:
		return 1
	}
	r := uint64(float64(z.n) * math.Pow(z.eta*u-z.eta+1, z.alpha))
	return min(r, z.n-1)
}

// zeta is the sum of 1/i^theta for i from 1 to n. Beyond zetaExact terms the
// rest is its integral with the first corrections of Euler and Maclaurin, which
// is exact to far more digits than are of use, at any n.
func zeta(n uint64, theta float64) float64 {
	const zetaExact = 1000
	sum := 0.0
	for i := uint64(1); i <= min(n, zetaExact); i++ {
		sum += math.Pow(float64(i), -theta)
	}
	if n <= zetaExact {
		return sum
	}
	a, b := float64(zetaExact), float64(n)
	f := func(x float64) float64 { return math.Pow(x, -theta) }
	slope := func(x float64) float64 { return -theta * math.Pow(x, -theta-1) }
	integral := (math.Pow(b, 1-theta) - math.Pow(a, 1-theta)) / (1 - theta)
	return sum + integral + (f(b)-f(a))/2 + (slope(b)-slope(a))/12
}

// random is one connection's source of randomness.
type random struct{ src *rand.PCG }

func newRandom(seed, stream uint64) *random { return &random{rand.NewPCG(seed, stream)} }

// below returns a number from 0 to n-1. Its bias, below n/2^64, does not show.
func (r *random) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.src.Uint64(), n)
	return hi
}

// float returns a number in [0, 1).
func (r *random) float() float64 { return float64(r.src.Uint64()>>11) * 0x1p-53 }
