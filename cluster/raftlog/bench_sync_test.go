package raftlog

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkDiskSync compares ways of preparing a file so that fdatasync after
// a write at its end has the least to do. They take turns, since what a disk
// shared with others does changes by the second; the medians are reported. The
// figures that decided are in doc.go. Run with -benchtime 1000x.
func BenchmarkDiskSync(b *testing.B) {
	for _, n := range []int{128, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			files := []*syncFile{{how: "growing"}, {how: "fallocate"}, {how: "zeros"}, {how: "recycled"}}
			for _, f := range files {
				f.prepare(b, filepath.Join(b.TempDir(), f.how))
			}
			b.ResetTimer()
			for range b.N {
				for _, f := range files {
					f.append(b, n)
				}
			}
			b.StopTimer()
			for _, f := range files {
				slices.Sort(f.took)
				b.ReportMetric(float64(f.took[len(f.took)/2])/1e3, f.how+"-us")
				must(b, f.Close())
			}
		})
	}
}

type syncFile struct {
	vfs.File
	how         string
	off, filled int64
	took        []time.Duration
}

const syncFileBytes = 64 << 20

func (f *syncFile) prepare(b *testing.B, path string) {
	var err error
	f.File, err = vfs.Default.OpenReadWrite(path, "bench")
	must(b, err)
	switch f.how {
	case "fallocate", "zeros":
		must(b, f.Preallocate(0, syncFileBytes))
	case "recycled":
		_, err = f.WriteAt(payload(1, 1, syncFileBytes), 0)
		must(b, err)
	}
	must(b, f.Sync())
}

func (f *syncFile) append(b *testing.B, n int) {
	if f.off+int64(n) > syncFileBytes {
		f.off = 0
	}
	rec := payload(Index(f.off), 2, n)
	start := time.Now()
	if f.how == "zeros" && f.off+int64(n) > f.filled && f.filled < syncFileBytes {
		_, err := f.WriteAt(zeros[:], f.filled)
		must(b, err)
		f.filled += zeroChunkBytes
	}
	_, err := f.WriteAt(rec, f.off)
	must(b, err)
	must(b, f.SyncData())
	f.took = append(f.took, time.Since(start))
	f.off += int64(n)
}
