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
