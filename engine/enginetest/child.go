package enginetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"dkv/engine"
)

// The crash tests of engines that need a real folder run the store in a process of
// its own: the test's own program, which finds itself told so by these.
const (
	childDirEnv  = "DKV_ENGINETEST_DIR"  // of the store
	childNoteEnv = "DKV_ENGINETEST_NOTE" // a file for notes
	childSeedEnv = "DKV_ENGINETEST_SEED"
)

// notes is what a child has noted down, in a file, so that the parent knows it when
// the child is stopped, or dead: 8 bytes each, in this order.
type notes struct {
	// appended is the last batch that the log has, synced the last that it would
	// have after a crash, durable the last that the engine said it would have.
	appended, synced, durable uint64
}

// notebook writes notes.
type notebook struct {
	f  *os.File
	mu struct {
		sync.Mutex
		n notes
	}
}

func (b *notebook) note(change func(n *notes)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.mu.n)
	buf := binary.BigEndian.AppendUint64(nil, b.mu.n.appended)
	buf = binary.BigEndian.AppendUint64(buf, b.mu.n.synced)
	buf = binary.BigEndian.AppendUint64(buf, b.mu.n.durable)
	_, err := b.f.WriteAt(buf, 0) // one write, which a reader sees all of or nothing
	return err
}

func readNotes(path string) (n notes, err error) {
	buf, err := os.ReadFile(path)
	if err != nil || len(buf) < 24 {
		return n, errors.Join(err, fmt.Errorf("notes of %d bytes", len(buf)))
	}
	n.appended = binary.BigEndian.Uint64(buf)
	n.synced = binary.BigEndian.Uint64(buf[8:])
	n.durable = binary.BigEndian.Uint64(buf[16:])
	return n, nil
}

// childBatch returns batch n of a history: the same for everybody who knows the
// seed.
func childBatch(seed, n uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, n))
	var b engine.Batch
	randomBatch(rng, &b, 5+rng.IntN(40))
	switch rng.IntN(60) {
	case 0:
		randomBatch(rng, &b, 1000) // larger than half a memtable
	case 1:
		b.Put([]byte("a large value"), make([]byte, 1<<20+rng.IntN(1<<20)))
	}
	b.Put(appliedKey, binary.BigEndian.AppendUint64(nil, n))
	return b.Repr()
}

// runChild goes on with a history until the process is killed.
func runChild(t *testing.T, f Factory) {
	seed, err := strconv.ParseUint(os.Getenv(childSeedEnv), 10, 64)
	must(t, err)
	dir, path := os.Getenv(childDirEnv), os.Getenv(childNoteEnv)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	book := &notebook{f: file}
	o := Options{
		MemtableBytes: smallMemtable,
		BeforeFlush:   func() error { return book.note(func(n *notes) { n.synced = n.appended }) },
	}
	e, err := f.Open(dir, o)
	must(t, err)
	n, err := heldBatch(e)
	must(t, err)
	// What a log would have after the crash that came before: at least that.
	must(t, book.note(func(no *notes) { *no = notes{n, n, n} }))
	rng := rand.New(rand.NewPCG(seed, n))
	for {
		n++
		must(t, book.note(func(no *notes) { no.appended = n }))
		must(t, e.Apply(childBatch(seed, n)))
		switch rng.IntN(60) {
		case 0:
			must(t, e.Flush())
			must(t, book.note(func(no *notes) { no.durable = n }))
		case 1, 2, 3:
			held, err := heldDurably(e)
			must(t, err)
			must(t, book.note(func(no *notes) { no.durable = max(no.durable, held) }))
		case 4:
			if rng.IntN(4) == 0 {
				must(t, e.Compact(t.Context(), nil, nil))
			}
		}
	}
}

// heldBatch returns the number of the last batch that a store holds.
func heldBatch(r engine.Reader) (uint64, error) {
	v, found, err := r.Get(nil, appliedKey)
	if err != nil || !found {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

func heldDurably(e engine.Engine) (uint64, error) {
	v, found, err := e.GetDurable(nil, appliedKey)
	if err != nil || !found {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

// copyFolder copies a folder's files; stretches of zeros become holes, since an
// engine's files may be much larger than what is in them.
func copyFolder(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if e.IsDir() {
			err = copyFolder(src, dst)
		} else {
			err = copySparse(src, dst)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
