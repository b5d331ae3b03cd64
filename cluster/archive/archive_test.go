package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"dkv/engine/enginetest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const dir = "archive/c/1/0"

func open(t *testing.T, fs vfs.FS) *Writer {
	t.Helper()
	w, err := Open(Options{FS: fs, Dir: dir, History: "c", Shard: 0})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// entries returns some that follow each other, all of one term.
func entries(first, n, term uint64) (list []Entry) {
	for i := range n {
		list = append(list, Entry{Position: Position{first + i, term}, Data: fmt.Appendf(nil, "data %d of term %d", first+i, term)})
	}
	return list
}

// write writes a file.
func write(t *testing.T, w *Writer, prevTerm uint64, list []Entry) {
	t.Helper()
	if err := w.Begin(list[0].Index, prevTerm); err != nil {
		t.Fatal(err)
	}
	if err := w.Append(list); err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
}

// replayed returns "index/term" of the entries after a place.
func replayed(fs vfs.FS, after Position) (list []string, end Position, err error) {
	end, err = Replay(context.Background(), fs, dir, after, func(e *Entry) (bool, error) {
		if want := fmt.Sprintf("data %d of term %d", e.Index, e.Term); string(e.Data) != want {
			return false, fmt.Errorf("entry %d holds %q", e.Index, e.Data)
		}
		list = append(list, fmt.Sprintf("%d/%d", e.Index, e.Term))
		return true, nil
	})
	return list, end, err
}

func TestArchive(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files func(t *testing.T, w *Writer)
		after Position
		want  string
		err   error
	}{
		{"nothing", func(*testing.T, *Writer) {}, Position{3, 1}, "[]", nil},
		{"files in a row", func(t *testing.T, w *Writer) {
			write(t, w, 1, entries(5, 2, 1))
			write(t, w, 1, entries(7, 2, 2))
		}, Position{4, 1}, "[5/1 6/1 7/2 8/2]", nil},
		{"from the middle", func(t *testing.T, w *Writer) {
			write(t, w, 1, entries(5, 2, 1))
			write(t, w, 1, entries(7, 2, 2))
		}, Position{6, 1}, "[7/2 8/2]", nil},
		{"from the end", func(t *testing.T, w *Writer) { write(t, w, 1, entries(5, 2, 1)) }, Position{6, 1}, "[]", nil},
		{"a gap", func(t *testing.T, w *Writer) {
			write(t, w, 1, entries(5, 2, 1))
			write(t, w, 1, entries(8, 2, 1))
		}, Position{4, 1}, "[5/1 6/1]", ErrGap},
		{"behind the gap", func(t *testing.T, w *Writer) {
			write(t, w, 1, entries(5, 2, 1))
			write(t, w, 1, entries(8, 2, 1))
		}, Position{7, 1}, "[8/1 9/1]", nil},
		{"before all", func(t *testing.T, w *Writer) { write(t, w, 1, entries(5, 2, 1)) }, Position{2, 1}, "[]", ErrGap},
		{"a file that takes another's place", func(t *testing.T, w *Writer) {
			write(t, w, 1, entries(5, 4, 1))
			write(t, w, 1, entries(7, 3, 2))
		}, Position{4, 1}, "[5/1 6/1 7/2 8/2 9/2]", nil},
		{"a shorter one does, too", func(t *testing.T, w *Writer) {
			write(t, w, 1, entries(5, 9, 1))
			write(t, w, 1, entries(7, 1, 2))
		}, Position{4, 1}, "[5/1 6/1 7/2]", nil},
		{"another history at the place", func(t *testing.T, w *Writer) { write(t, w, 1, entries(5, 3, 1)) }, Position{6, 9}, "[]", ErrOther},
		{"another history before the first", func(t *testing.T, w *Writer) { write(t, w, 1, entries(5, 3, 1)) }, Position{4, 9}, "[]", ErrOther},
		{"files that do not join", func(t *testing.T, w *Writer) {
			write(t, w, 1, entries(5, 2, 1))
			write(t, w, 8, entries(7, 2, 9))
		}, Position{4, 1}, "[5/1 6/1]", ErrOther},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := vfs.NewMem()
			w := open(t, fs)
			tc.files(t, w)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, _, err := replayed(fs, tc.after)
			if fmt.Sprint(got) != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("%v, %v; want %s, %v", got, err, tc.want, tc.err)
			}
			last, known := open(t, fs).Last()
			if wantLast, wantKnown := w.Last(); last != wantLast || known != wantKnown {
				t.Errorf("opened again: %v, %v; want %v, %v", last, known, wantLast, wantKnown)
			}
		})
	}
}

// TestDamage flips each byte of a file in turn: no wrong entry is ever replayed, and
// what is missing before an entry that is there is found out.
func TestDamage(t *testing.T) {
	const n = 4
	sound := func() *vfs.MemFS {
		fs := vfs.NewMem()
		w := open(t, fs)
		write(t, w, 1, entries(5, n, 1))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return fs
	}
	path := dir + "/" + fileName(1)
	data := contents(t, sound(), path)
	const last = len("data 8 of term 1") + recordHeaderBytes
	for i := range data {
		fs := sound()
		changed := append([]byte(nil), data...)
		changed[i] ^= 0x55
		replace(t, fs, path, changed)
		got, _, err := replayed(fs, Position{4, 1})
		switch {
		case len(got) == n:
			t.Fatalf("byte %d: not noticed", i)
		case i < headerBytes:
			// The archive is empty, or of another format.
			if len(got) > 0 || err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrDamaged) {
				t.Errorf("byte %d: %v, %v", i, got, err)
			}
		case i < len(data)-last && !errors.Is(err, ErrDamaged) && !isLength(i):
			t.Errorf("byte %d: %v, %v, want ErrDamaged", i, got, err)
		case i >= len(data)-last && err != nil:
			t.Errorf("byte %d of the last record: %v, want the end", i, err)
		}
	}
}

// isLength says whether a byte is of a record's length, which leads nowhere when it is
// wrong: the file then ends there.
func isLength(i int) bool {
	at := (i - headerBytes) % (recordHeaderBytes + len("data 8 of term 1"))
	return at >= 4 && at < 8
}

func contents(t *testing.T, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}

func replace(t *testing.T, fs vfs.FS, path string, data []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(data)); err != nil { // which it may change
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTornEnd cuts a file at each length, as a crash may: the entries before that are
// there, and a later file goes on behind them.
func TestTornEnd(t *testing.T) {
	fs := vfs.NewMem()
	w := open(t, fs)
	write(t, w, 1, entries(5, 3, 1))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := dir + "/" + fileName(1)
	data := contents(t, fs, path)
	for n := range data {
		fs := vfs.NewMem()
		open(t, fs) // makes the folder
		replace(t, fs, path, data[:n])
		got, end, err := replayed(fs, Position{4, 1})
		whole := max(n-headerBytes, 0) / (recordHeaderBytes + len("data 5 of term 1"))
		if err != nil || len(got) != whole || end.Index != uint64(4+whole) {
			t.Fatalf("%d bytes: %v, %v, %v", n, got, end, err)
		}
		w := open(t, fs)
		if last, known := w.Last(); known != (n >= headerBytes) || known && last != end {
			t.Fatalf("%d bytes: goes on after %v, %v", n, last, known)
		}
		write(t, w, end.Term, entries(end.Index+1, 2, 3))
		if got, _, err := replayed(fs, Position{4, 1}); err != nil || len(got) != whole+2 {
			t.Fatalf("%d bytes, and a file: %v, %v", n, got, err)
		}
	}
}

// TestSyncedOutlivesACrash: what Sync has seen to is there after a power cut.
func TestSyncedOutlivesACrash(t *testing.T) {
	fs := enginetest.NewCrashFS()
	w := open(t, fs)
	write(t, w, 1, entries(5, 3, 1))
	if err := w.Append(entries(8, 1, 1)); err != nil {
		t.Fatal(err)
	}
	got, _, err := replayed(fs.Crash(vfs.CrashCloneCfg{}), Position{4, 1})
	if err != nil || fmt.Sprint(got) != "[5/1 6/1 7/1]" {
		t.Fatalf("%v, %v", got, err)
	}
}

func FuzzReplay(f *testing.F) {
	h := header{number: 1, first: 5, prevTerm: 1, history: "c"}
	data := h.encode()
	for _, e := range entries(5, 3, 1) {
		data = appendRecord(data, h.seed, &e)
	}
	f.Add(data)
	f.Add(data[:200])
	f.Fuzz(func(t *testing.T, data []byte) {
		fs := vfs.NewMem()
		open(t, fs)
		replace(t, fs, dir+"/"+fileName(1), data)
		at := uint64(4)
		_, err := Replay(context.Background(), fs, dir, Position{4, 1}, func(e *Entry) (bool, error) {
			if e.Index != at+1 {
				t.Fatalf("entry %d after %d", e.Index, at)
			}
			at = e.Index
			return true, nil
		})
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrGap) && !errors.Is(err, ErrOther) && !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
	})
}
