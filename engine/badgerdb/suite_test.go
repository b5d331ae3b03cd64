package badgerdb_test

import (
	"log/slog"
	"testing"

	"dkv/engine"
	"dkv/engine/badgerdb"
	"dkv/engine/enginetest"
	"dkv/engine/hot"
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

// TestLayer has the engine behind the layer that loads it, as a node has, with a buffer
// that is written down all the time.
func TestLayer(t *testing.T) {
	enginetest.Run(t, enginetest.Factory{
		Open: func(dir string, o enginetest.Options) (engine.Engine, error) {
			e, err := openForSuite(dir, o)
			if err != nil {
				return nil, err
			}
			return hot.NewLayer(e, hot.Options{Bytes: 2 << 20, WriteBytes: 256 << 10, Logger: quiet()}), nil
		},
		Hooks: true, RealFolder: true,
	})
}

func TestEngine(t *testing.T) {
	enginetest.Run(t, enginetest.Factory{Open: openForSuite, Hooks: true, RealFolder: true, Loads: true})
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
		Loads:    true,
	})
}
