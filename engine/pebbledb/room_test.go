package pebbledb

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A memtable that is flushed with nothing in it makes room as well: whoever waits for
// room, because a few loads have each left one, is told.
func TestEmptyFlushMakesRoom(t *testing.T) {
	db, err := Open("store", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	changed := db.guard.changed()
	if err := db.newMemtable(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(30 * time.Second):
		t.Error("nobody is told of the flush")
	}
}
