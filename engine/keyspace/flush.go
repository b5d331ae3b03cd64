package keyspace

// flushByKey is the most keys that FLUSHDB deletes one by one. A delete-range is
// cheap to write, but many of them are slow to read past, and test suites flush
// small databases thousands of times.
const flushByKey = 64

// FlushDB deletes every key of a logical database and returns how many there were.
func (tx *Tx) FlushDB(db int) (int64, error) {
	phys := tx.dbMap.of(db)
	tx.databaseChanged(db)
	c := tx.countOf(phys)
	if c.keys == 0 {
		return 0, nil
	}
	if c.keys <= flushByKey {
		return c.keys, tx.flushKeys(db, phys)
	}
	for _, kind := range [...]byte{kindMeta, kindElement, kindScore, kindFieldTime} {
		tx.key = append(tx.key[:0], kind, byte(phys))
		tx.record = append(tx.record[:0], kind, byte(phys)+1)
		tx.ov.DeleteRange(tx.key, tx.record)
	}
	tx.addCount(phys, count{-c.keys, -c.expires, -c.ttlSum})
	if tx.totalKeys() == 0 {
		// The index holds nothing but what the flush left behind. Otherwise the
		// reaper meets the stale records when their time comes.
		tx.key = append(tx.key[:0], kindExpiry)
		tx.record = append(tx.record[:0], kindExpiry+1)
		tx.ov.DeleteRange(tx.key, tx.record)
	}
	return c.keys, nil
}

// FlushAll deletes every key and returns how many there were.
func (tx *Tx) FlushAll() (int64, error) {
	var total int64
	for db := range Databases {
		n, err := tx.FlushDB(db)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// SwapDB makes each of two logical databases what the other was.
func (tx *Tx) SwapDB(a, b int) {
	if a == b {
		return
	}
	tx.dbMap = tx.dbMap.swapped(a, b)
	tx.databaseChanged(a)
	tx.databaseChanged(b)
	tx.swaps++
	tx.record = appendDBMap(tx.record[:0], tx.ks.generation+1, tx.dbMap)
	tx.ov.Put(dbMapKey, tx.record)
}

func (tx *Tx) totalKeys() (n int64) {
	for i := range Databases {
		n += tx.countOf(physical(i)).keys
	}
	return n
}

// flushKeys deletes the keys of a small database one by one.
func (tx *Tx) flushKeys(db int, phys physical) error {
	w, err := tx.walk(phys, walkOptions{last: SlotCount - 1, keysOnly: true})
	if err != nil {
		return err
	}
	var keys []byte
	var ends []int
	for w.next() {
		keys = append(keys, w.key...)
		ends = append(ends, len(keys))
	}
	if err := w.close(); err != nil {
		return err
	}
	noting := tx.noting // a flush is no event, not even of what has expired
	tx.noting = 0
	defer func() { tx.noting = noting }()
	start := 0
	for _, end := range ends {
		e, err := tx.find(db, keys[start:end], &tx.value)
		if err != nil {
			return err
		}
		tx.Delete(&e)
		start = end
	}
	return nil
}
