package keyspacetest

import (
	"testing"

	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/pebbledb"
)

// Store is a keyspace over an engine in memory. Write and Read run transactions, one
// at a time. An error fails the test.
type Store struct {
	// Now is the time that transactions see, Unix time in ms.
	Now int64
	// Position is the number of batches applied.
	Position uint64
	// Applied, if set, gets each batch that Write applies; it keeps nothing of it.
	Applied func(repr []byte)

	tb testing.TB
	ks *keyspace.Keyspace
	db engine.Engine
	ov *engine.Overlay
	tx keyspace.Tx
}

// New returns an empty store, which is closed when the test ends.
func New(tb testing.TB) *Store {
	db, err := pebbledb.Open("data", pebbledb.Options{InMemory: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return Over(tb, db)
}

// Over returns a store over an engine, which stays the caller's.
func Over(tb testing.TB, db engine.Engine) *Store {
	s := &Store{Now: 1_700_000_000_000, tb: tb, db: db, ov: engine.NewOverlay(db)}
	s.Reopen()
	return s
}

// Reopen forgets what the keyspace keeps in memory, as a restart does.
func (s *Store) Reopen() {
	ks, err := keyspace.Open(s.db)
	s.check(err)
	s.ks = ks
}

// Keyspace returns the keyspace, until the next Reopen.
func (s *Store) Keyspace() *keyspace.Keyspace { return s.ks }

// Engine returns the engine.
func (s *Store) Engine() engine.Engine { return s.db }

// Write runs f over a batch of its own and applies it.
func (s *Store) Write(f func(tx *keyspace.Tx)) {
	s.ov.Reset(s.db)
	s.ks.BeginWrite(&s.tx, s.ov, s.Now, s.Position+1)
	f(&s.tx)
	s.check(s.ov.Rest())
	if s.ov.Batch().Count() == 0 {
		s.ks.Discard(&s.tx)
		return
	}
	s.tx.Finish()
	s.check(s.db.Apply(s.ov.Batch().Repr()))
	s.ks.Publish(&s.tx)
	s.Position++
	if s.Applied != nil {
		s.Applied(s.ov.Batch().Repr())
	}
}

// Follow applies a batch that another store evaluated, as a follower does.
func (s *Store) Follow(repr []byte) {
	var f keyspace.Foreign
	records, err := engine.ReadBatch(repr)
	s.check(err)
	for {
		kind, key, value, ok, err := records.Next()
		s.check(err)
		if !ok {
			break
		}
		if kind == engine.KindPut {
			s.check(f.Record(key, value))
		}
	}
	s.ks.BeginForeign(&f)
	s.check(s.db.Apply(repr))
	s.ks.EndForeign(&f)
	s.Position++
}

// Attempt runs f over a batch that is then thrown away.
func (s *Store) Attempt(f func(tx *keyspace.Tx)) {
	s.ov.Reset(s.db)
	s.ks.BeginWrite(&s.tx, s.ov, s.Now, s.Position+1)
	f(&s.tx)
	s.check(s.ov.Rest())
	s.tx.Finish()
	s.ks.Discard(&s.tx)
}

// Read runs f over a snapshot.
func (s *Store) Read(f func(tx *keyspace.Tx)) {
	var tx keyspace.Tx
	s.ks.BeginRead(&tx, s.db.NewSnapshot(), s.Now)
	f(&tx)
	s.check(tx.Close())
}

// ReadLive runs f over the engine itself.
func (s *Store) ReadLive(f func(tx *keyspace.Tx)) {
	var tx keyspace.Tx
	s.ks.BeginRead(&tx, s.db, s.Now)
	f(&tx)
	s.check(tx.Close())
}

func (s *Store) check(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

// Records counts the engine's records but for the shard's own, and returns the first
// byte of each.
func (s *Store) Records() (n int, kinds string) {
	it, err := s.db.NewIter(engine.IterOptions{KeysOnly: true})
	s.check(err)
	for ok := it.First(); ok; ok = it.Next() {
		if it.Key()[0] != 's' {
			n++
			kinds += string(it.Key()[:1])
		}
	}
	s.check(it.Err())
	s.check(it.Close())
	return n, kinds
}
