package keyspace_test

import (
	"testing"

	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// One operation is an entry that goes through a queue of a thousand; its cost must not
// grow with what went through before: compare -benchtime 20000x with 500000x.
//
//   - trim: XADD MAXLEN 1000, so each trims one;
//   - approx: XADD MAXLEN ~ 1000;
//   - group: XADD, XREADGROUP, XACK and XDEL.
func BenchmarkStreamQueue(b *testing.B) {
	const length, batch = 1000, 100
	limits := keyspace.NodeLimits{Bytes: 4096, Entries: 100}
	fields := [][]byte{[]byte("job"), []byte("some work to do")}
	for _, bc := range []struct {
		name string
		do   func(tx *keyspace.Tx, s *keyspace.Stream)
	}{
		{"trim", func(_ *keyspace.Tx, s *keyspace.Stream) { must(s.Trim(keyspace.Trim{MaxLen: length})) }},
		{"approx", func(_ *keyspace.Tx, s *keyspace.Stream) {
			must(s.Trim(keyspace.Trim{MaxLen: length, Approx: true, Limit: 10_000}))
		}},
		{"group", consumeOne},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := keyspacetest.New(b)
			n := uint64(0)
			add := func(tx *keyspace.Tx, do func(tx *keyspace.Tx, s *keyspace.Stream)) {
				stream := must(tx.Stream(must(tx.Find(0, []byte("queue")))))
				n++
				stream.Append(keyspace.StreamID{MS: n}, fields, limits)
				if do != nil {
					do(tx, stream)
				}
				stream.Save()
			}
			s.Write(func(tx *keyspace.Tx) {
				for range length {
					add(tx, nil)
				}
				stream := must(tx.Stream(must(tx.Find(0, []byte("queue")))))
				check(stream.CreateGroup([]byte("group"), keyspace.StreamID{}, 0).Save())
				stream.Save()
			})
			b.ResetTimer()
			for range (b.N + batch - 1) / batch {
				s.Write(func(tx *keyspace.Tx) {
					for range batch {
						add(tx, bc.do)
					}
				})
			}
		})
	}
}

// consumeOne delivers the next entry of a group, acknowledges it, and deletes it.
func consumeOne(tx *keyspace.Tx, s *keyspace.Stream) {
	g := must(s.Group([]byte("group")))
	c := must(g.Consumer([]byte("consumer")))
	if c == nil {
		c = g.CreateConsumer([]byte("consumer"))
	}
	from, _ := g.LastID.Next()
	check(s.Range(from, keyspace.MaxStreamID, false, func(id keyspace.StreamID, _ [][]byte) bool {
		g.LastID = id
		return false
	}))
	p := must(g.Look(g.LastID))
	p.Time, p.Count = tx.Now(), 1
	check(g.Assign(&p, c))
	check(g.Save())
	check(g.Release(&p))
	check(g.Save())
	must(s.Delete(g.LastID))
}
