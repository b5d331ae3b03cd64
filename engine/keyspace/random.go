package keyspace

import "math/rand/v2"

// Bounds of RandomKey.
const (
	// smallDatabase is the number of keys up to which the choice is uniform.
	smallDatabase = 256
	// maxRandomSkip is the most keys that are passed by from a random slot on.
	maxRandomSkip = 8192
	// maxRandomLooks is the most keys that are looked at, should they all have
	// expired.
	maxRandomLooks = 100_000
)

// RandomKey returns some key of a database that has not expired, or false when it
// finds none. In a database of more than a few keys the choice is only roughly
// even: a random slot, then a random number of keys on. The key is valid until tx
// is used again.
func (tx *Tx) RandomKey(db int) (key []byte, ok bool, err error) {
	size, err := tx.DBSize(db)
	if err != nil || size == 0 {
		return nil, false, err
	}
	m, err := tx.openView()
	if err != nil {
		return nil, false, err
	}
	p := randomPick{tx: tx, looks: maxRandomLooks}
	if size <= smallDatabase {
		// Each live key replaces the choice so far with the right probability.
		live := 0
		err = p.walk(m.of(db), 0, SlotCount-1, func() (take, stop bool) {
			live++
			return rand.IntN(live) == 0, false
		})
		return tx.record, p.found, err
	}
	slot := Slot(rand.IntN(SlotCount))
	skip := rand.IntN(min(int(2*size/SlotCount)+16, maxRandomSkip))
	step := func() (take, stop bool) {
		skip--
		return true, skip < 0
	}
	err = p.walk(m.of(db), slot, SlotCount-1, step)
	if err == nil && !p.stopped {
		err = p.walk(m.of(db), 0, slot, step)
	}
	return tx.record, p.found, err
}

// randomPick copies the key that it chose to tx.record.
type randomPick struct {
	tx             *Tx
	looks          int
	found, stopped bool
}

// walk calls step for every live key of a range of slots, until it says stop.
func (p *randomPick) walk(db physical, first, last Slot, step func() (take, stop bool)) error {
	w, err := p.tx.walk(db, walkOptions{first: first, last: last})
	if err != nil {
		return err
	}
	for !p.stopped && w.next() {
		if p.looks--; p.looks < 0 {
			p.stopped = true
			break
		}
		meta, err := w.meta()
		if err != nil {
			w.err = err
			break
		}
		if meta.expired(p.tx.now) {
			continue
		}
		take, stop := step()
		if take {
			p.found = true
			p.tx.record = append(p.tx.record[:0], w.key...)
		}
		p.stopped = stop
	}
	return w.close()
}
