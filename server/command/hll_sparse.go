package command

import "strconv"

// The sparse form are runs of registers with the same value, one after the other:
//
//	00nnnnnn            n+1 registers of 0
//	01nnnnnn nnnnnnnn   n+1 registers of 0, the higher bits of n first
//	1vvvvvnn            n+1 registers of v+1
const (
	sparseLong     = 0x40
	sparseValue    = 0x80
	maxSparseZeros = 64 // in one byte
	maxSparseRun   = 4  // of a value
	maxSparseRank  = 32
)

// sparseRun is a run where it stands.
type sparseRun struct {
	rank  byte
	n     int // registers
	bytes int
}

// runAt decodes the run at a position. One that is cut off has no registers.
func (h hll) runAt(at int) sparseRun {
	b := h[at]
	switch {
	case b >= sparseValue:
		return sparseRun{rank: b>>2&0x1f + 1, n: int(b&3) + 1, bytes: 1}
	case b < sparseLong:
		return sparseRun{n: int(b) + 1, bytes: 1}
	case at+1 == len(h):
		return sparseRun{bytes: 1}
	}
	return sparseRun{n: int(b&^sparseLong)<<8 + int(h[at+1]) + 1, bytes: 2}
}

func appendSparse(dst []byte, rank byte, n int) []byte {
	switch {
	case n == 0:
		return dst
	case rank != 0:
		return append(dst, sparseValue|(rank-1)<<2|byte(n-1))
	case n <= maxSparseZeros:
		return append(dst, byte(n-1))
	}
	return append(dst, sparseLong|byte((n-1)>>8), byte(n-1))
}

// eachRun calls emit for every run, as long as they are sound, and fails unless they
// are as many registers as there have to be.
func (h hll) eachRun(emit func(first int, r sparseRun)) error {
	first := 0
	for at := hllHeader; at < len(h); {
		r := h.runAt(at)
		if r.n == 0 || first+r.n > hllRegisters {
			return errCorruptHLL
		}
		emit(first, r)
		first += r.n
		at += r.bytes
	}
	if first != hllRegisters {
		return errCorruptHLL
	}
	return nil
}

// setSparse is set for the sparse form.
func (h hll) setSparse(register int, rank byte, limit int64) (hll, bool, error) {
	if rank > maxSparseRank {
		return h.promote(register, rank)
	}
	at, before, first := hllHeader, hllHeader, 0
	var r sparseRun
	for at < len(h) {
		if r = h.runAt(at); r.n == 0 || register < first+r.n {
			break
		}
		before = at
		at += r.bytes
		first += r.n
	}
	if at >= len(h) || r.n == 0 {
		return h, false, errCorruptHLL
	}
	if r.rank >= rank {
		return h, false, nil
	}
	var buf [5]byte
	runs := appendSparse(buf[:0], r.rank, register-first)
	runs = appendSparse(runs, rank, 1)
	runs = appendSparse(runs, r.rank, first+r.n-1-register)
	if grow := len(runs) - r.bytes; grow > 0 && int64(len(h)+grow) > limit {
		return h.promote(register, rank)
	}
	h = replaceBytes(h, at, at+r.bytes, runs)
	h = h.joinRuns(before)
	h.outdate()
	return h, true, nil
}

// promote makes h dense and sets a register of it that is lower.
func (h hll) promote(register int, rank byte) (hll, bool, error) {
	dense, err := h.toDense()
	if err != nil {
		return h, false, err
	}
	return dense, dense.setDense(register, rank), nil
}

// joinRuns joins runs of the same value, as Redis does it after a change: those of
// the next five from a position on.
func (h hll) joinRuns(at int) hll {
	for range 5 {
		if at >= len(h) {
			break
		}
		r := h.runAt(at)
		if r.rank != 0 && at+1 < len(h) {
			if next := h.runAt(at + 1); next.rank == r.rank && r.n+next.n <= maxSparseRun {
				var joined [1]byte
				h = replaceBytes(h, at, at+2, appendSparse(joined[:0], r.rank, r.n+next.n))
				continue
			}
		}
		at += r.bytes
	}
	return h
}

func replaceBytes(h hll, from, to int, by []byte) hll {
	if grow := len(by) - (to - from); grow > 0 {
		h = append(h, by[:grow]...) // any bytes
		copy(h[to+grow:], h[to:len(h)-grow])
	} else if grow < 0 {
		h = append(h[:to+grow], h[to:]...)
	}
	copy(h[from:], by)
	return h
}

// runsText is what PFDEBUG DECODE replies.
func (h hll) runsText() (text []byte, err error) {
	err = h.eachRun(func(_ int, r sparseRun) {
		if len(text) != 0 {
			text = append(text, ' ')
		}
		switch {
		case r.rank != 0:
			text = append(strconv.AppendInt(append(text, "v:"...), int64(r.rank), 10), ',')
		case r.bytes == 1:
			text = append(text, "z:"...)
		default:
			text = append(text, "Z:"...)
		}
		text = strconv.AppendInt(text, int64(r.n), 10)
	})
	return text, err
}
