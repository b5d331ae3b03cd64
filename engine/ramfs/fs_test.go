package ramfs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, fs *FS, name string, data []byte) vfs.File {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write(data)
	must(t, err)
	return f
}

// read returns all that a file holds.
func read(t *testing.T, fs *FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	must(t, err)
	defer f.Close()
	data, err := io.ReadAll(f)
	must(t, err)
	return data
}

// Memory is given back when the last name and the last handle are gone.
func TestMemoryIsGivenBack(t *testing.T) {
	fs := New()
	must(t, fs.MkdirAll("a/b", 0o755))
	data := bytes.Repeat([]byte("x"), 3*chunkBytes+1)
	f := create(t, fs, "a/b/f", data)
	if got := fs.Bytes(); got != 4*chunkBytes {
		t.Fatalf("a file of %d bytes takes %d, want %d", len(data), got, 4*chunkBytes)
	}
	must(t, fs.Link("a/b/f", "a/g"))
	must(t, fs.Remove("a/b/f"))
	must(t, f.Close())
	if !bytes.Equal(read(t, fs, "a/g"), data) {
		t.Fatal("the other name has other data")
	}
	open, err := fs.Open("a/g")
	must(t, err)
	must(t, fs.RemoveAll("a"))
	buf := make([]byte, 3)
	if _, err := open.ReadAt(buf, 3*chunkBytes-2); err != nil || string(buf) != "xxx" {
		t.Fatalf("read after the removal: %q, %v", buf, err)
	}
	must(t, open.Close())
	if fs.Bytes() != 0 || fs.SpareBytes() != 4*chunkBytes {
		t.Fatalf("%d bytes are taken and %d kept, want 0 and %d", fs.Bytes(), fs.SpareBytes(), 4*chunkBytes)
	}
	// What is written next must not show what the chunks held before.
	g := create(t, fs, "h", nil)
	_, err = g.WriteAt([]byte("end"), chunkBytes+5)
	must(t, err)
	want := append(make([]byte, chunkBytes+5), "end"...)
	if !bytes.Equal(read(t, fs, "h"), want) {
		t.Fatal("a hole is not zero")
	}
}

// A file that has taken another one's name keeps no memory of that one.
func TestReplaced(t *testing.T) {
	fs := New()
	must(t, create(t, fs, "a", make([]byte, 1000)).Close())
	must(t, create(t, fs, "a", []byte("1")).Close())
	must(t, create(t, fs, "b", []byte("2")).Close())
	must(t, fs.Rename("b", "a"))
	if got := read(t, fs, "a"); string(got) != "2" || fs.Bytes() != minChunkBytes {
		t.Fatalf("%q, %d bytes taken", got, fs.Bytes())
	}
	must(t, fs.Rename("a", "a"))
	if names, err := fs.List("/"); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Fatalf("%q, %v", names, err)
	}
}

// Closing a folder, the root too, leaves what is in it alone.
func TestOpenDir(t *testing.T) {
	fs := New()
	must(t, fs.MkdirAll("a", 0o755))
	data := bytes.Repeat([]byte("x"), 2*chunkBytes)
	must(t, create(t, fs, "a/f", data).Close())
	for _, name := range []string{"/", ".", "a"} {
		dir, err := fs.OpenDir(name)
		must(t, err)
		must(t, dir.Close())
	}
	must(t, create(t, fs, "a/g", make([]byte, 2*chunkBytes)).Close())
	if !bytes.Equal(read(t, fs, "a/f"), data) || fs.Bytes() != 4*chunkBytes {
		t.Fatalf("the file has changed, or %d bytes are taken", fs.Bytes())
	}
}

func TestErrors(t *testing.T) {
	fs := New()
	must(t, fs.MkdirAll("d", 0o755))
	must(t, create(t, fs, "d/f", nil).Close())
	_, open := fs.Open("x")
	_, under := fs.Open("d/f/x")
	_, list := fs.List("d/f")
	_, inNone := fs.Create("no/f", vfs.WriteCategoryUnspecified)
	for name, c := range map[string]struct{ got, want error }{
		"open":          {open, os.ErrNotExist},
		"remove":        {fs.Remove("x"), os.ErrNotExist},
		"remove all":    {fs.RemoveAll("x"), nil},
		"rename":        {fs.Rename("x", "y"), os.ErrNotExist},
		"link":          {fs.Link("d/f", "d/f"), os.ErrExist},
		"not empty":     {fs.Remove("d"), errNotEmpty},
		"file as dir":   {under, errNotDir},
		"list of file":  {list, errNotDir},
		"create in nil": {inNone, os.ErrNotExist},
		"mkdir on file": {fs.MkdirAll("d/f", 0o755), errNotDir},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	lock, err := fs.Lock("d/LOCK")
	must(t, err)
	if _, err := fs.Lock("/d/LOCK"); err == nil {
		t.Error("locked twice")
	}
	must(t, lock.Close())
	lock, err = fs.Lock("d/LOCK")
	must(t, err)
	must(t, lock.Close())
}

// TestLikeMem does the same to this file system and to Pebble's.
func TestLikeMem(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("DKV_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("DKV_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	mine, want := vfs.FS(New()), vfs.FS(vfs.NewMem())
	both := []vfs.FS{mine, want}
	for range 500 {
		name, other := strconv.Itoa(rng.IntN(4)), strconv.Itoa(rng.IntN(4))
		off, data := rng.Int64N(3*chunkBytes), bytes.Repeat([]byte{byte(rng.Int())}, rng.IntN(2*chunkBytes))
		action := rng.IntN(6)
		var errs [2]error
		for i, fs := range both {
			errs[i] = act(fs, action, name, other, off, data)
		}
		if (errs[0] == nil) != (errs[1] == nil) {
			t.Fatalf("action %d: %v, want %v", action, errs[0], errs[1])
		}
		same(t, mine, want)
	}
}

func act(fs vfs.FS, action int, name, other string, off int64, data []byte) error {
	switch action {
	case 0:
		return fs.Remove(name)
	case 1:
		return fs.Rename(name, other)
	case 2:
		return fs.Link(name, other)
	case 3:
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Close())
	}
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, off)
	return errors.Join(err, f.Close())
}

func same(t *testing.T, mine, want vfs.FS) {
	t.Helper()
	a, err := mine.List("/")
	must(t, err)
	b, err := want.List("/")
	must(t, err)
	sort.Strings(a)
	sort.Strings(b)
	if !slices.Equal(a, b) {
		t.Fatalf("files %q, want %q", a, b)
	}
	taken := int64(0)
	for _, name := range a {
		var got [2][]byte
		for i, fs := range []vfs.FS{mine, want} {
			f, err := fs.Open(name)
			must(t, err)
			got[i], err = io.ReadAll(f)
			must(t, err)
			must(t, f.Close())
		}
		if !bytes.Equal(got[0], got[1]) {
			t.Fatalf("file %s differs", name)
		}
		taken += int64(len(got[0]))
	}
	if fs := mine.(*FS); fs.Bytes() > taken+4*chunkBytes {
		t.Fatalf("%d bytes are taken for %d", fs.Bytes(), taken)
	}
}
