package raftlog

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
)

// BenchmarkAppend appends one entry a call; truncation follows, so that
// segments are recycled.
func BenchmarkAppend(b *testing.B) {
	for _, fs := range []string{"disk", "mem"} {
		for _, mode := range []FsyncMode{FsyncNo, FsyncAlways} {
			for _, size := range []int{100, 4 << 10, 64 << 10} {
				b.Run(fmt.Sprintf("%s/%v/%d", fs, mode, size), func(b *testing.B) {
					o := Options{Dir: b.TempDir(), Fsync: mode, RetainBytes: -1, SegmentBytes: 16 << 20}
					if fs == "mem" {
						o.FS, o.Dir = vfs.NewMem(), "log"
					}
					l := mustOpen(b, o)
					s := l.Shard(1)
					es := make([]*raftpb.Entry, b.N) // raft's allocations are not ours
					data := payload(1, 1, size)
					for i := range es {
						es[i] = entry(Index(i+1), 1, data)
					}
					hs := hard(1, 1, 0)
					b.SetBytes(int64(size))
					b.ReportAllocs()
					b.ResetTimer()
					for i := range es {
						*hs.Commit = uint64(i)
						if s.Reserve(int64(size)) != nil || s.Append(hs, es[i:i+1], true) != nil {
							b.Fatal("append failed")
						}
						if i%1024 == 1023 {
							must(b, s.Truncate(Index(i-100)))
						}
					}
					b.StopTimer()
					must(b, l.Close())
				})
			}
		}
	}
}

// BenchmarkReplay reads a log of 64 MiB from disk: open, then all entries.
func BenchmarkReplay(b *testing.B) {
	for _, size := range []int{100, 4 << 10} {
		o := Options{Dir: b.TempDir(), Fsync: FsyncNo, CacheBytes: -1}
		l := mustOpen(b, o)
		n := (64 << 20) / (size + 64)
		for i := range n {
			must(b, l.Shard(1).Append(nil, entries(Index(i+1), 1, 1, size), true))
		}
		must(b, l.Close())
		b.Run(fmt.Sprintf("open/%d", size), func(b *testing.B) {
			b.SetBytes(64 << 20)
			for range b.N {
				l := mustOpen(b, o)
				must(b, l.Close())
			}
		})
		b.Run(fmt.Sprintf("read/%d", size), func(b *testing.B) {
			b.SetBytes(64 << 20)
			l := mustOpen(b, o)
			for range b.N {
				for i := Index(1); i <= Index(n); {
					es, err := l.Shard(1).Tail(i, 1<<20)
					must(b, err)
					i += Index(len(es))
				}
			}
			must(b, l.Close())
		})
	}
}
