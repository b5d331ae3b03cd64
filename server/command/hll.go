package command

import (
	"encoding/binary"
	"math"
	"math/bits"

	"dkv/resp"
)

// hll is a HyperLogLog as a string holds it, byte for byte as in Redis (Flajolet et
// al., "HyperLogLog in practice", and Ertl, "New cardinality estimation algorithms
// for HyperLogLog sketches"):
//
//	+------+----------+--------+-------------------+-----------
//	| HYLL | encoding | unused | cached count      | registers
//	| 4    | 1        | 3      | 8, little endian  | ...
//	+------+----------+--------+-------------------+-----------
//
// The highest bit of the cached count says that it is out of date. There are 16384
// registers. Dense (encoding 0): six bits each, the lowest of a byte first. Sparse
// (encoding 1): see hll_sparse.go.
type hll []byte

const (
	hllMagic     = "HYLL"
	hllDense     = 0
	hllSparse    = 1
	hllHeader    = 16
	hllIndexBits = 14
	hllRegisters = 1 << hllIndexBits
	hllRankBits  = 64 - hllIndexBits
	hllWidth     = 6
	hllDenseSize = hllHeader + hllRegisters*hllWidth/8
	hllSeed      = 0xadc83b19

	errNotHLL     resp.Error = "WRONGTYPE Key is not a valid HyperLogLog string value."
	errCorruptHLL resp.Error = "INVALIDOBJ Corrupted HLL object detected"
)

// hllMax are registers, one byte each, into which others are merged.
type hllMax [hllRegisters]byte

// newHLL returns an empty one.
func newHLL() hll {
	h := make(hll, hllHeader, hllHeader+2)
	copy(h, hllMagic)
	h[4] = hllSparse
	return appendSparse(h, 0, hllRegisters)
}

// check refuses a string that does not look like a HyperLogLog; whether its registers
// are sound shows when they are read.
func (h hll) check() error {
	if len(h) < hllHeader || string(h[:4]) != hllMagic || h[4] > hllSparse || h[4] == hllDense && len(h) != hllDenseSize {
		return errNotHLL
	}
	return nil
}

func (h hll) isDense() bool { return h[4] == hllDense }

// cached returns the cached count.
func (h hll) cached() (n uint64, ok bool) {
	n = binary.LittleEndian.Uint64(h[8:])
	return n, n>>63 == 0
}

// outdate marks the cached count as out of date.
func (h hll) outdate() { h[15] |= 0x80 }

// hllPlace returns the register of an element and the value that it wants there.
func hllPlace(element []byte) (register int, rank byte) {
	h := murmur64A(element, hllSeed)
	register = int(h & (hllRegisters - 1))
	return register, byte(1 + bits.TrailingZeros64(h>>hllIndexBits|1<<hllRankBits))
}

// set raises a register to rank, and reports whether it was lower. The result may be
// in another place. sparseLimit is the size above which it becomes dense.
func (h hll) set(register int, rank byte, sparseLimit int64) (hll, bool, error) {
	if h.isDense() {
		return h, h.setDense(register, rank), nil
	}
	return h.setSparse(register, rank, sparseLimit)
}

func (h hll) setDense(register int, rank byte) bool {
	if h.register(register) >= rank {
		return false
	}
	at, shift := hllHeader+register*hllWidth/8, register*hllWidth&7
	h[at] = h[at]&^(0x3f<<shift) | rank<<shift
	if shift > 8-hllWidth {
		h[at+1] = h[at+1]&^(0x3f>>(8-shift)) | rank>>(8-shift)
	}
	return true
}

// register returns a register of a dense one.
func (h hll) register(i int) byte {
	at, shift := hllHeader+i*hllWidth/8, i*hllWidth&7
	rank := h[at] >> shift
	if shift > 8-hllWidth {
		rank |= h[at+1] << (8 - shift)
	}
	return rank & 0x3f
}

// mergeInto raises the registers of top to those of h.
func (h hll) mergeInto(top *hllMax) error {
	if !h.isDense() {
		return h.eachRun(func(first int, r sparseRun) {
			for i := first; i < first+r.n; i++ {
				top[i] = max(top[i], r.rank)
			}
		})
	}
	for i := range top {
		top[i] = max(top[i], h.register(i))
	}
	return nil
}

// toDense returns h in the dense form.
func (h hll) toDense() (hll, error) {
	if h.isDense() {
		return h, nil
	}
	dense := make(hll, hllDenseSize)
	copy(dense, h[:hllHeader])
	dense[4] = hllDense
	err := h.eachRun(func(first int, r sparseRun) {
		for i := first; i < first+r.n && r.rank != 0; i++ {
			dense.setDense(i, r.rank)
		}
	})
	return dense, err
}

// count estimates the number of different elements.
func (h hll) count() (uint64, error) {
	var histogram hllHistogram
	if !h.isDense() {
		err := h.eachRun(func(_ int, r sparseRun) { histogram[r.rank] += r.n })
		return histogram.estimate(), err
	}
	for i := range hllRegisters {
		histogram[h.register(i)]++
	}
	return histogram.estimate(), nil
}

// count estimates how many different elements led to the registers.
func (m *hllMax) count() uint64 {
	var histogram hllHistogram
	for _, rank := range m {
		histogram[rank]++
	}
	return histogram.estimate()
}

// hllHistogram is how many registers have each value.
type hllHistogram [1 << hllWidth]int

// estimate is Ertl's improved raw estimator. The conversions keep a compiler from
// joining operations, which would round otherwise than Redis does.
func (h *hllHistogram) estimate() uint64 {
	const m, alpha = float64(hllRegisters), 0.721347520444481703680
	z := m * hllTau((m-float64(h[hllRankBits+1]))/m)
	for i := hllRankBits; i >= 1; i-- {
		z += float64(h[i])
		z *= 0.5
	}
	z += float64(m * hllSigma(float64(h[0])/m))
	n := math.Round(alpha * m * m / z)
	if n >= 1<<63 {
		return 1 << 63 // of registers that no elements lead to
	}
	return uint64(n)
}

func hllTau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for before := math.NaN(); before != z; {
		before = z
		x = math.Sqrt(x)
		y *= 0.5
		z -= float64(float64((1-x)*(1-x)) * y)
	}
	return z / 3
}

func hllSigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for before := math.NaN(); before != z; {
		before = z
		x *= x
		z += float64(x * y)
		y += y
	}
	return z
}

// murmur64A is the 64-bit MurmurHash2 of Austin Appleby, reading little endian.
func murmur64A(data []byte, seed uint64) uint64 {
	const m, shift = 0xc6a4a7935bd1e995, 47
	h := seed ^ uint64(len(data))*m
	for ; len(data) >= 8; data = data[8:] {
		k := binary.LittleEndian.Uint64(data) * m
		k ^= k >> shift
		h = (h ^ k*m) * m
	}
	if len(data) > 0 {
		var last [8]byte
		copy(last[:], data)
		h = (h ^ binary.LittleEndian.Uint64(last[:])) * m
	}
	h = (h ^ h>>shift) * m
	return h ^ h>>shift
}
