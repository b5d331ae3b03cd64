package raftlog

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkDiskSync compares ways of preparing a file so that fdatasync after
// a small write at its end has the least to do. The figures that decided are in
// doc.go. Run with -benchtime 2000x.
func BenchmarkDiskSync(b *testing.B) {
	const size = 16 << 20
	const chunk = 1 << 20
	for _, prep := range []string{"append", "fallocate", "zeroed", "chunks", "recycled"} {
		for _, n := range []int{128, 4096} {
			b.Run(fmt.Sprintf("%s/%d", prep, n), func(b *testing.B) {
				path := filepath.Join(b.TempDir(), "f")
				f, err := vfs.Default.OpenReadWrite(path, "bench")
				must(b, err)
				defer f.Close()
				switch prep {
				case "fallocate", "chunks":
					must(b, f.Preallocate(0, size))
				case "zeroed":
					must(b, f.Preallocate(0, size))
					_, err = f.WriteAt(make([]byte, size), 0)
					must(b, err)
				case "recycled":
					buf := make([]byte, size)
					for i := range buf {
						buf[i] = byte(i)
					}
					_, err = f.WriteAt(buf, 0)
					must(b, err)
				}
				must(b, f.Sync())
				rec := make([]byte, n)
				for i := range rec {
					rec[i] = byte(i + 1)
				}
				zeros := make([]byte, chunk)
				var off, zeroed int64
				b.ResetTimer()
				for i := 0; i < b.N; i++ {
					if off+int64(n) > size {
						off = 0
					}
					if prep == "chunks" && off+int64(n) > zeroed && zeroed < size {
						_, err = f.WriteAt(zeros, zeroed)
						must(b, err)
						zeroed += chunk
					}
					_, err = f.WriteAt(rec, off)
					must(b, err)
					must(b, f.SyncData())
					off += int64(n)
				}
			})
		}
	}
}
