package keyspace

import (
	"math"
	"math/rand/v2"
	"slices"
)

// popWindow is how many elements random pops find at once.
const popWindow = 64

// popQueue holds elements of a set that random pops take next, last first.
//
// Invariant: they are in the set, in the state of the write Tx. So what is removed by
// another way leaves the queue, and it is forgotten when a change is undone, or others
// may have changed the set.
type popQueue struct {
	version Version
	ends    []int // of the elements in buf
	buf     []byte
	next    uint32 // the hash behind those that were taken last
}

func (q *popQueue) forget() {
	q.ends, q.buf = q.ends[:0], q.buf[:0]
	if cap(q.buf) > 2*maxQueuedBytes {
		q.buf = nil
	}
}

// at returns an element, which is valid until the queue is next filled.
func (q *popQueue) at(i int) []byte {
	start := 0
	if i > 0 {
		start = q.ends[i-1]
	}
	return q.buf[start:q.ends[i]]
}

func (q *popQueue) add(element []byte) {
	q.buf = append(q.buf, element...)
	q.ends = append(q.ends, len(q.buf))
}

// removed takes an element of a set out.
func (q *popQueue) removed(v Version, element []byte) {
	if q.version != v {
		return
	}
	for i := range q.ends {
		if string(q.at(i)) != string(element) {
			continue
		}
		n := len(element)
		q.buf = slices.Delete(q.buf, q.ends[i]-n, q.ends[i])
		q.ends = slices.Delete(q.ends, i, i+1)
		for j := i; j < len(q.ends); j++ {
			q.ends[j] -= n
		}
		return
	}
}

// PopRandom removes a random member of a set that is not empty, and returns it, valid
// until the next call. Of a large set it takes members that follow each other by their
// hashes, from a random place on, in random order: a pop then costs no iterator. All
// members are about equally likely, but those that are popped in a row are neighbours in
// the order of the hashes. When more was removed than is left, it goes on where it was,
// round and round: from a random place on it would pass what earlier pops have left of
// the same members.
func (c *Collection) PopRandom() ([]byte, error) {
	if !c.separate {
		element, _, err := c.Random(nil, nil)
		if err == nil {
			_, err = c.Remove(element)
		}
		return element, err
	}
	tx := c.tx
	q := &tx.ks.popped
	if q.version != c.Version {
		q.forget()
		q.version, q.next = c.Version, rand.Uint32()
	}
	if len(q.ends) == 0 {
		if err := c.fillPops(q); err != nil {
			q.forget()
			return nil, err
		}
	}
	last := len(q.ends) - 1
	element := q.at(last)
	q.ends, q.buf = q.ends[:last], q.buf[:len(q.buf)-len(element)]
	c.elementKey(element)
	tx.ov.Delete(tx.elem)
	c.dead++
	c.size--
	c.touched, c.dirty = true, true
	return element, nil
}

func (c *Collection) fillPops(q *popQueue) error {
	q.forget()
	found := make([][]byte, 0, popWindow)
	bytes := 0
	take := func(_ uint32, element, _ []byte) bool {
		if bytes += len(element); len(found) > 0 && bytes > maxQueuedBytes {
			return false
		}
		found = append(found, slices.Clone(element))
		return len(found) < popWindow
	}
	first := q.next
	if c.dead <= c.size {
		first = rand.Uint32()
	}
	at, stopped, err := c.eachRecord(first, math.MaxUint32, take)
	if err == nil && !stopped && first > 0 { // around the end
		at, _, err = c.eachRecord(0, first-1, take)
	}
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errLostElements
	}
	q.next = at
	rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	for _, element := range found {
		q.add(element)
	}
	return nil
}
