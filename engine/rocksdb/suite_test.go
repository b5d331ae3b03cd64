//go:build rocksdb

package rocksdb_test

import (
	"log/slog"
	"testing"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/rocksdb"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openForSuite(dir string, o enginetest.Options) (engine.Engine, error) {
	return rocksdb.Open(dir, rocksdb.Options{
		MemtableBytes:    o.MemtableBytes,
		ReserveDiskBytes: o.ReserveDiskBytes,
		BeforeFlush:      o.BeforeFlush,
		OnFlush:          o.OnFlush,
		BlockCacheBytes:  8 << 20,
		Logger:           quiet(),
	})
}

func TestEngine(t *testing.T) {
	enginetest.Run(t, enginetest.Factory{Open: openForSuite, Hooks: true, RealFolder: true})
}
