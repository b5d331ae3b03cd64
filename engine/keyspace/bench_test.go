package keyspace_test

import (
	"fmt"
	"testing"

	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
)

// One operation is one expired key, found, deleted and applied.
func BenchmarkReap(b *testing.B) {
	const fill, batch = 10_000, 512
	s := keyspacetest.New(b)
	for from := 0; from < b.N; from += fill {
		s.Write(func(tx *keyspace.Tx) {
			for i := from; i < min(from+fill, b.N); i++ {
				setKey(tx, 0, fmt.Sprintf("key:%012d", i), "value of some length", s.Now+int64(i%1000))
			}
		})
	}
	s.Now += 1001
	var next []byte
	b.ReportAllocs()
	b.ResetTimer()
	for more, left := true, b.N; more; {
		s.Write(func(tx *keyspace.Tx) {
			n, key, again, err := s.Keyspace().Reap(tx, next, batch)
			if err != nil {
				b.Fatal(err)
			}
			next, more = append(next[:0], key...), again
			if left -= n; !more && left != 0 {
				b.Fatalf("%d keys left", left)
			}
		})
	}
}

func BenchmarkSlotOf(b *testing.B) {
	key := []byte("key:000000012345")
	for range b.N {
		keyspace.SlotOf(key)
	}
}

// fillHash makes a hash of n fields, in batches.
func fillHash(tb testing.TB, s *keyspacetest.Store, key string, n int) {
	const batch = 20_000
	for from := 0; from < n; from += batch {
		s.Write(func(tx *keyspace.Tx) {
			h := must(tx.Collection(must(tx.Find(0, []byte(key))), keyspace.TypeHash))
			for i := from; i < min(from+batch, n); i++ {
				must(h.Put(fmt.Appendf(nil, "field:%09d", i), []byte("value of some length")))
			}
			check(h.Save())
		})
	}
}

// One operation is one HSET, of a new field or an old one; it must not depend on the
// size of the hash.
func BenchmarkHSet(b *testing.B) {
	for _, size := range []int{10, 100, 1000, 100_000, 1_000_000} {
		s := keyspacetest.New(b)
		fillHash(b, s, "hash", size)
		for _, fresh := range []bool{false, true} {
			b.Run(fmt.Sprintf("size=%d/new=%v", size, fresh), func(b *testing.B) {
				b.ReportAllocs()
				for from := 0; from < b.N; from += 100 { // a batch of 100 tasks
					s.Write(func(tx *keyspace.Tx) {
						for i := from; i < min(from+100, b.N); i++ {
							h := must(tx.Collection(must(tx.Find(0, []byte("hash"))), keyspace.TypeHash))
							field := fmt.Appendf(nil, "field:%09d", i*7919%size)
							if fresh {
								field = fmt.Appendf(nil, "new:%d:%09d", b.N, i)
							}
							must(h.Put(field, fmt.Appendf(nil, "value %d", i)))
							check(h.Save())
						}
					})
				}
			})
		}
	}
}

// One operation is the deletion of a hash, applied.
func BenchmarkDeleteHash(b *testing.B) {
	for _, size := range []int{100, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			s := keyspacetest.New(b)
			for range b.N {
				b.StopTimer()
				fillHash(b, s, "hash", size)
				b.StartTimer()
				s.Write(func(tx *keyspace.Tx) { deleteKey(tx, 0, "hash") })
			}
		})
	}
}

// One operation is one random member of a set of a million.
func BenchmarkRandomMember(b *testing.B) {
	s := keyspacetest.New(b)
	fillHash(b, s, "hash", 1_000_000)
	b.ResetTimer()
	s.Read(func(tx *keyspace.Tx) {
		h := must(tx.Collection(must(tx.Read(0, []byte("hash"))), keyspace.TypeHash))
		for range b.N {
			if _, _, err := h.Random(nil, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// One operation is a ZADD and a ZPOPMIN of a queue of a thousand; its cost must not
// grow with what went through the queue.
func BenchmarkSortedQueue(b *testing.B) {
	s := keyspacetest.New(b)
	const length, batch = 1000, 100
	add := func(tx *keyspace.Tx, n int, pop bool) {
		z := must(tx.Collection(must(tx.Find(0, []byte("queue"))), keyspace.TypeZSet))
		must(z.PutScore(fmt.Appendf(nil, "job:%d", n), float64(n)))
		if pop {
			check(z.Pop(false, 1, func([]byte, float64) {}))
		}
		check(z.Save())
	}
	n := 0
	s.Write(func(tx *keyspace.Tx) {
		for ; n < length; n++ {
			add(tx, n, false)
		}
	})
	b.ResetTimer()
	for range (b.N + batch - 1) / batch {
		s.Write(func(tx *keyspace.Tx) {
			for range batch {
				add(tx, n, true)
				n++
			}
		})
	}
}
