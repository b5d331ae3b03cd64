package enginetest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dkv/engine"
)

// testForeign checks that a folder of something else is left alone.
func testForeign(t *testing.T, f Factory) {
	own := filepath.Join(t.TempDir(), "own")
	e, err := f.Open(own, Options{})
	must(t, err)
	must(t, e.Close())
	for name, files := range map[string][]string{
		"a file": {"notes.txt"},
		"pebble": {"LOCK", "marker.format-version.000013.024", "marker.manifest.000001.MANIFEST-000001", "OPTIONS-000003", "000002.log"},
		"rocksdb": {
			"CURRENT", "IDENTITY", "LOG", "LOCK", "MANIFEST-000005", "OPTIONS-000007", "000009.sst",
		},
		"badger": {"MANIFEST", "KEYREGISTRY", "DISCARD", "00001.mem"},
	} {
		dir := t.TempDir()
		for _, file := range files {
			must(t, os.WriteFile(filepath.Join(dir, file), []byte("no store's contents"), 0o644))
		}
		_, err := f.Open(dir, Options{})
		if !errors.Is(err, engine.ErrDataFormat) && !errors.Is(err, engine.ErrCorrupt) {
			t.Errorf("%s: err %v", name, err)
		} else if !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %q does not name the folder", name, err)
		}
		for _, file := range files {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// One that is a file, or in a file.
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	for _, dir := range []string{file, filepath.Join(file, "store")} {
		if _, err := f.Open(dir, Options{}); err == nil || errors.Is(err, engine.ErrLocked) || errors.Is(err, engine.ErrDataFormat) {
			t.Errorf("%s: err %v", dir, err)
		}
	}
}

// testReopenLeavesNothing checks that opening a store does not pile up files.
func testReopenLeavesNothing(t *testing.T, f Factory) {
	dir := t.TempDir()
	count := func() int {
		e, err := f.Open(dir, Options{})
		must(t, err)
		must(t, e.Close())
		entries, err := os.ReadDir(dir)
		must(t, err)
		return len(entries)
	}
	for range 6 {
		count()
	}
	before := count()
	for range 6 {
		count()
	}
	if after := count(); after > before {
		t.Errorf("%d files, seven Opens later %d", before, after)
	}
}
