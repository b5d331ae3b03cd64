package hot_test

import (
	"testing"

	"dkv/engine"
	"dkv/engine/enginetest"
	"dkv/engine/hot"
	"dkv/engine/pebbledb"
)

// layerFactory opens layers over Pebble; writeBytes is at most the suite's size of
// a memtable.
func layerFactory(bytes, writeBytes int64) enginetest.Factory {
	return layerOver(bytes, writeBytes, func(e engine.Engine) engine.Engine { return e })
}

// batches is an engine that is no engine.Loader.
type batches struct{ engine.Engine }

func layerOver(bytes, writeBytes int64, over func(engine.Engine) engine.Engine) enginetest.Factory {
	return enginetest.Factory{
		Open: func(dir string, o enginetest.Options) (engine.Engine, error) {
			db, err := pebbledb.Open(dir, pebbledb.Options{
				FS:               o.FS,
				MemtableBytes:    o.MemtableBytes,
				ReserveDiskBytes: o.ReserveDiskBytes,
				BeforeFlush:      o.BeforeFlush,
				OnFlush:          o.OnFlush,
				BlockCacheBytes:  8 << 20,
				Logger:           quiet(),
			})
			if err != nil {
				return nil, err
			}
			write := writeBytes
			if o.MemtableBytes != 0 {
				write = min(write, 2*o.MemtableBytes)
			}
			return hot.NewLayer(over(db), hot.Options{
				Bytes: bytes, WriteBytes: write, Logger: quiet(),
				Group: func(key []byte) int { return min(len(key), 1) },
			}), nil
		},
		CustomFS: true, Hooks: true,
	}
}

// TestLayer runs the suite of all engines with a layer that writes down and evicts
// all the time, and with one that hardly does. None writes one batch of the suite down
// by itself where that asks for it (Reopen). The short form, which the race detector
// slows down, has one that is busy and one that is not: the others run the same code
// in as many goroutines.
func TestLayer(t *testing.T) {
	t.Run("Small", func(t *testing.T) { enginetest.Run(t, layerFactory(2<<20, 256<<10)) })
	t.Run("Large", func(t *testing.T) { enginetest.Run(t, layerFactory(64<<20, 64<<20)) })
	if testing.Short() {
		return
	}
	t.Run("Batches", func(t *testing.T) {
		enginetest.Run(t, layerOver(2<<20, 256<<10, func(e engine.Engine) engine.Engine { return batches{e} }))
	})
	t.Run("NoCache", func(t *testing.T) { enginetest.Run(t, layerFactory(0, 256<<10)) })
}
