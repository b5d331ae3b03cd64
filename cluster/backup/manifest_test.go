package backup

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func testManifest() Manifest {
	sum := strings.Repeat("0a", 32)
	return Manifest{
		Format: Format, DataFormat: 4, ClusterID: "c", NodeID: 1, Engine: "pebble", Created: time.UnixMilli(1_790_000_000_000).UTC(),
		Shards: []Shard{{ID: 0, LastSlot: 16383, Index: 7, Term: 2, Keys: 3, Files: []File{
			{Path: "000001.sst", Bytes: 5, SHA256: sum}, {Path: "sub/000002.vlog", Bytes: 6, SHA256: sum},
		}}},
	}
}

func TestManifest(t *testing.T) {
	data, err := testManifest().Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if m.Bytes() != 11 || m.Shards[0].Files[1].Path != "sub/000002.vlog" {
		t.Errorf("%+v", m)
	}
}

// TestManifestRefuses: a manifest with a true checksum that says what no backup says,
// such as a path that leads out of it.
func TestManifestRefuses(t *testing.T) {
	file := func(path string) func(*Manifest) {
		return func(m *Manifest) { m.Shards[0].Files[0].Path = path }
	}
	for name, change := range map[string]func(*Manifest){
		"a path upwards":       file("../data/node.json"),
		"a path from the root": file("/etc/passwd"),
		"a path with a detour": file("a/../b"),
		"a path of nothing":    file(""),
		"a parent":             file(".."),
		"a backslash":          file(`..\x`),
		"files out of order":   file("z"),
		"a negative size":      func(m *Manifest) { m.Shards[0].Files[0].Bytes = -1 },
		"a short checksum":     func(m *Manifest) { m.Shards[0].Files[0].SHA256 = "00" },
		"no shards":            func(m *Manifest) { m.Shards = nil },
		"a shard's number":     func(m *Manifest) { m.Shards[0].ID = 3 },
		"no position":          func(m *Manifest) { m.Shards[0].Index = 0 },
		"no engine":            func(m *Manifest) { m.Engine = "" },
	} {
		m := testManifest()
		change(&m)
		data, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(data); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := testManifest()
	m.Format = 2
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(data); !errors.Is(err, ErrFormat) {
		t.Errorf("another format: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	data, err := testManifest().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(again); err != nil {
			t.Fatalf("%v\n%s", err, bytes.TrimSpace(again))
		}
	})
}
