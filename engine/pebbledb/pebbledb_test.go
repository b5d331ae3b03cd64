package pebbledb_test

import (
	"io"
	"log/slog"
	"testing"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/pebbledb"
)

func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

func openForSuite(dir string, o enginetest.Options) (engine.Engine, error) {
	return pebbledb.Open(dir, pebbledb.Options{
		FS:               o.FS,
		MemtableBytes:    o.MemtableBytes,
		ReserveDiskBytes: o.ReserveDiskBytes,
		BeforeFlush:      o.BeforeFlush,
		OnFlush:          o.OnFlush,
		BlockCacheBytes:  8 << 20,
		Logger:           quiet(),
	})
}

func TestEngine(t *testing.T) {
	enginetest.Run(t, enginetest.Factory{Open: openForSuite, CustomFS: true, Hooks: true})
}

func TestEngineInMemory(t *testing.T) {
	enginetest.Run(t, enginetest.Factory{
		Open: func(dir string, o enginetest.Options) (engine.Engine, error) {
			return pebbledb.Open(dir, pebbledb.Options{
				InMemory:      true,
				MemtableBytes: o.MemtableBytes,
				Compression:   "none",
				Logger:        quiet(),
			})
		},
		Volatile: true,
	})
}
