package keyspace

// Now is the time that a collection is looked at.
func (c *Collection) Now() int64 { return c.tx.now }

// RebuildAfter makes small collections be made anew after so many removals, and
// returns what undoes that.
func RebuildAfter(n uint64) (undo func()) {
	was := rebuildAfter
	rebuildAfter = n
	return func() { rebuildAfter = was }
}

// Untag gives the records of a hash the form that older versions wrote: values without
// tags. No field may have an expiry.
func (c *Collection) Untag() error {
	err := c.tx.eachRaw(kindElement, c.db, c.homeSlot(), c.Version, false, func(key, stored []byte) {
		value, _, err := splitField(stored)
		if err != nil {
			panic(err)
		}
		c.tx.ov.Put(append([]byte(nil), key...), append([]byte(nil), value...))
	})
	c.tagged, c.touched, c.dirty = false, true, true
	return err
}
