package badgerdb_test

import (
	"log/slog"
	"testing"

	"dkv/engine"
	"dkv/engine/badgerdb"
	"dkv/engine/enginetest"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openForSuite(dir string, o enginetest.Options) (engine.Engine, error) {
	return badgerdb.Open(dir, badgerdb.Options{
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

func TestEngineInMemory(t *testing.T) {
	enginetest.Run(t, enginetest.Factory{
		Open: func(dir string, o enginetest.Options) (engine.Engine, error) {
			return badgerdb.Open(dir, badgerdb.Options{
				InMemory:      true,
				MemtableBytes: o.MemtableBytes,
				Logger:        quiet(),
			})
		},
		Volatile: true,
	})
}
