package psync

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
)

// What has been read of a spool takes no space any more, although more is written behind it
// all the time.
func TestSpoolGivesSpaceBack(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/spool")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := punch(f, 0, 1<<20); err != nil {
		t.Skipf("skipped: the file system cannot: %v", err) // nor can the spool
	}
	s := newSpool(f)
	const piece, ahead, pieces = 4 << 20, 4, 30
	block := make([]byte, piece)
	write := func(i int) {
		for j := range block {
			block[j] = byte(i + j)
		}
		if _, err := s.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	for i := range ahead {
		write(i)
	}
	got, want := make([]byte, piece), make([]byte, piece)
	for i := range pieces {
		write(i + ahead)
		if _, err := io.ReadFull(s, got); err != nil {
			t.Fatal(err)
		}
		for j := range want {
			want[j] = byte(i + j)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("piece %d is another", i)
		}
		if used, most := spaceOf(t, f), int64((ahead+2)*piece+giveBackBytes); used > most {
			t.Fatalf("after %d pieces the file takes %d MiB, want at most %d", i+1, used>>20, most>>20)
		}
	}
	// Where space cannot be given back the spool works on.
	s.keeps = true
	write(0)
	s.end(io.EOF)
	if n, err := io.Copy(io.Discard, s); err != nil || n != (ahead+1)*piece {
		t.Errorf("%d bytes at the end, %v", n, err)
	}
}

func spaceOf(t *testing.T, f *os.File) int64 {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal(errors.ErrUnsupported)
	}
	return int64(st.Blocks) * 512
}
