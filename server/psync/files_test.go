package psync

import (
	"os"
	"path/filepath"
	"testing"
)

// A process that is killed leaves no file of what it was receiving, in its folder or in
// that of the system.
func TestFilesHaveNoNames(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	for _, folder := range []string{"", t.TempDir()} {
		f := New(Options{Folder: folder})
		for _, name := range []string{dataFile, streamFile} {
			file, end, err := f.openFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteAt([]byte("data"), 3); err != nil {
				t.Error(err)
			}
			b := make([]byte, 4)
			if _, err := file.ReadAt(b, 3); err != nil || string(b) != "data" {
				t.Errorf("%q %v", b, err)
			}
			for _, dir := range []string{folder, temp} {
				if dir == "" {
					continue
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
					t.Errorf("while it is open: %v, %v", left, err)
				}
			}
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRemoveLeft(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{dataFile, streamFile, "node.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := RemoveLeft(dir); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "node.json" {
		t.Errorf("left: %v, %v", left, err)
	}
}
