package shard

import "dkv/engine/keyspace"

// sourceChanges marks the places in the lot whose keys a source's batches may have
// changed.
type sourceChanges struct {
	lot  *lot
	hash func(key []byte) uint64
}

// Key implements keyspace.Changes. The batch knows databases by other numbers than
// those who wait: the key is looked up wherever somebody waits for it.
func (c *sourceChanges) Key(key []byte) {
	hash := c.hash(key)
	for db := range keyspace.Databases {
		c.lot.KeyChanged(db, hash)
	}
}

// Owned implements keyspace.Changes.
func (c *sourceChanges) Owned(writer, key []byte) {}

// All implements keyspace.Changes.
func (c *sourceChanges) All() {
	for db := range keyspace.Databases {
		c.lot.DatabaseChanged(db)
	}
}

// noteSource marks who waits for what a source's batches change.
func (s *Shard) noteSource(st *state, batches [][]byte) {
	if s.lot.count.Load() == 0 {
		return
	}
	c := sourceChanges{&s.lot, st.ks.Hash}
	for _, repr := range batches {
		if err := keyspace.EachChange(repr, &c); err != nil {
			c.All() // then each of them looks
		}
	}
}

// serveReaders tries those who wait for what a source's batch has changed.
func (s *Shard) serveReaders() {
	if len(s.lot.ready) == 0 || s.lot.count.Load() == 0 {
		s.lot.ready = nil
		return
	}
	s.runReady()
}
