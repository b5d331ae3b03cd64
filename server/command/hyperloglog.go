package command

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// The commands on HyperLogLogs, which are strings.

// findHLL looks a HyperLogLog up for writing; nil when there is no such key.
func (c *Ctx) findHLL(key []byte) (keyspace.Entry, hll, error) {
	e, err := c.findString(key)
	if err != nil || !e.Exists() {
		return e, nil, err
	}
	return e, e.Body, hll(e.Body).check()
}

func pfadd(c *Ctx) error {
	e, h, err := c.findHLL(c.Args[1])
	if err != nil {
		return err
	}
	changed := h == nil
	if h == nil {
		h = newHLL()
	}
	limit := c.limits().HLLSparseBytes.Load()
	for _, element := range c.Args[2:] {
		register, rank := hllPlace(element)
		var raised bool
		if h, raised, err = h.set(register, rank, limit); err != nil {
			return err
		}
		changed = changed || raised
	}
	if changed {
		h.outdate()
		c.Tx.SetString(&e, h, e.ExpireAt, keyspace.FormRaw)
		c.notify(keyspace.ClassString, "pfadd", c.Args[1])
	}
	c.Out.Int(boolInt(changed))
	return nil
}

// pfcount does not keep what it has counted in the key, as Redis does: that would make
// a write of a read.
func pfcount(c *Ctx) error {
	if len(c.Args) > 2 {
		return c.countTogether()
	}
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	defer c.Tx.Trim()
	if !e.Exists() {
		c.Out.Int(0)
		return nil
	}
	h := hll(e.Body)
	if err := h.check(); err != nil {
		return err
	}
	n, ok := h.cached()
	if !ok {
		if n, err = h.count(); err != nil {
			return err
		}
	}
	c.Out.Int(int64(n))
	return nil
}

func (c *Ctx) countTogether() error {
	var top hllMax
	for _, key := range c.Args[1:] {
		if _, err := c.mergeHLL(&top, key); err != nil {
			return err
		}
	}
	c.Out.Int(int64(top.count()))
	return nil
}

// mergeHLL raises the registers of top to those of a key, if it exists.
func (c *Ctx) mergeHLL(top *hllMax, key []byte) (dense bool, err error) {
	e, err := c.readString(key)
	if err != nil || !e.Exists() {
		return false, err
	}
	h := hll(e.Body)
	if err := h.check(); err != nil {
		return false, err
	}
	dense = h.isDense()
	err = h.mergeInto(top)
	c.Tx.Trim()
	return dense, err
}

func pfmerge(c *Ctx) error {
	var top hllMax
	anyDense := false
	for _, key := range c.Args[1:] {
		dense, err := c.mergeHLL(&top, key)
		if err != nil {
			return err
		}
		anyDense = anyDense || dense
	}
	e, h, err := c.findHLL(c.Args[1])
	if err != nil {
		return err
	}
	if h == nil {
		h = newHLL()
	}
	if anyDense {
		if h, err = h.toDense(); err != nil {
			return err
		}
	}
	limit := c.limits().HLLSparseBytes.Load()
	for i, rank := range top {
		if rank == 0 {
			continue
		}
		if h, _, err = h.set(i, rank, limit); err != nil {
			return err
		}
	}
	h.outdate()
	c.Tx.SetString(&e, h, e.ExpireAt, keyspace.FormRaw)
	c.notify(keyspace.ClassString, "pfadd", c.Args[1])
	c.Out.OK()
	return nil
}

const (
	errNoHLL    resp.Error = "ERR The specified key does not exist"
	errHLLDense resp.Error = "ERR HLL encoding is not sparse"
)

func pfdebug(c *Ctx) error {
	e, h, err := c.findHLL(c.Args[2])
	if err != nil {
		return err
	}
	if h == nil {
		return errNoHLL
	}
	switch sub := c.Args[1]; {
	case isWord(sub, "GETREG"):
		if h, _, err = c.densify(&e, h); err != nil {
			return err
		}
		c.Out.Array(hllRegisters)
		for i := range hllRegisters {
			c.Out.Int(int64(h.register(i)))
		}
	case isWord(sub, "DECODE"):
		if h.isDense() {
			return errHLLDense
		}
		text, err := h.runsText()
		if err != nil {
			return err
		}
		c.Out.Bulk(text)
	case isWord(sub, "ENCODING"):
		if h.isDense() {
			c.Out.Simple("dense")
		} else {
			c.Out.Simple("sparse")
		}
	case isWord(sub, "TODENSE"):
		_, changed, err := c.densify(&e, h)
		if err != nil {
			return err
		}
		c.Out.Int(boolInt(changed))
	default:
		return resp.Error("ERR Unknown PFDEBUG subcommand '" + cString(sub) + "'")
	}
	return nil
}

// densify makes the HyperLogLog of a key dense.
func (c *Ctx) densify(e *keyspace.Entry, h hll) (dense hll, changed bool, err error) {
	if h.isDense() {
		return h, false, nil
	}
	if dense, err = h.toDense(); err != nil {
		return h, false, err
	}
	c.Tx.SetString(e, dense, e.ExpireAt, keyspace.FormRaw)
	return dense, true, nil
}

// HLLSelfTest is PFSELFTEST: registers come back as they were written, both forms
// agree, and estimates are as near as they have to be.
func HLLSelfTest() error {
	dense, err := newHLL().toDense()
	if err != nil {
		return err
	}
	var want hllMax
	for range 4 * hllRegisters {
		i, rank := rand.IntN(hllRegisters), byte(rand.IntN(1<<hllWidth))
		dense.setDense(i, rank)
		want[i] = max(want[i], rank)
		if j := rand.IntN(hllRegisters); dense.register(j) != want[j] {
			return resp.Error(fmt.Sprintf("ERR TESTFAILED Register %d should be %d but is %d", j, want[j], dense.register(j)))
		}
	}
	const elements = 100_000
	sparse := newHLL()
	if dense, err = newHLL().toDense(); err != nil {
		return err
	}
	for n, seed := 1, rand.Uint64(); n <= elements; n++ {
		var element [8]byte
		binary.LittleEndian.PutUint64(element[:], seed+uint64(n))
		register, rank := hllPlace(element[:])
		dense.setDense(register, rank)
		if !sparse.isDense() {
			if sparse, _, err = sparse.set(register, rank, defaultLimits.HLLSparseBytes.Load()); err != nil {
				return err
			}
		}
		if err := compareEstimates(n, sparse, dense); err != nil {
			return err
		}
	}
	return nil
}

// compareEstimates looks at powers of ten.
func compareEstimates(n int, sparse, dense hll) error {
	for power := n; power != 1; power /= 10 {
		if power%10 != 0 {
			return nil
		}
	}
	got, err := dense.count()
	if err != nil {
		return err
	}
	other, err := sparse.count()
	if err != nil {
		return err
	}
	if !sparse.isDense() && got != other {
		return resp.Error(fmt.Sprintf("ERR TESTFAILED dense/sparse disagree: %d and %d", got, other))
	}
	// Six standard errors of 1.04/sqrt(registers), and one or two for small numbers.
	most := max(2, 6*1.04/math.Sqrt(hllRegisters)*float64(n))
	if off := math.Abs(float64(got) - float64(n)); off > most {
		return resp.Error(fmt.Sprintf("ERR TESTFAILED Too big error. card:%d abserr:%.0f", n, off))
	}
	return nil
}
