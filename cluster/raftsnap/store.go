package raftsnap

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"

	"dkv/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Errors of a Store and its Receivers.
var (
	// ErrDiscarded says that the receiver was given up: another snapshot took
	// its place, or the store was closed.
	ErrDiscarded = errors.New("raftsnap: the snapshot being received was discarded")
	// ErrNotComplete says that a receiver that is to be switched to has not got
	// the whole snapshot.
	ErrNotComplete = errors.New("raftsnap: the snapshot has not been received completely")
	// ErrNotOld says that an engine to retire is not one that a Switch replaced.
	ErrNotOld = errors.New("raftsnap: not an engine that was replaced")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("raftsnap: store is closed")
)

// StoreOptions configures a Store.
type StoreOptions struct {
	FS vfs.FS // default vfs.Default
	// Dir is the folder that holds the engine folders. It is made when missing.
	Dir string
	// Name is the first engine folder's name, and what the others' begin with. It
	// has no dot in it. Several stores may share Dir under different names.
	Name string

	// Open opens the engine in dir, which may be missing, as the shard's current
	// one. Switch calls it while the engine before is still in use, and closes what
	// it gave when the switch comes to nothing.
	Open func(dir string) (engine.Engine, error)
	// OpenReceiving opens an engine in dir, which is missing, to be filled with
	// a snapshot. Nothing of what it does may concern the current engine: it has
	// no BeforeFlush (what it makes durable is in no log of this node), no
	// OnFlush, and its OnFatal must not stop the node. It need not keep anything
	// ready for readers. ReserveDiskBytes should be above the current engine's,
	// so that on a disk that fills up the snapshot gives way first.
	OpenReceiving func(dir string) (engine.Engine, error)

	// FreeBytes returns how much of the disk a snapshot may take; nil: no bound.
	FreeBytes func() uint64

	Logger *slog.Logger // default: none
}

func (o StoreOptions) withDefaults() StoreOptions {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.FreeBytes == nil {
		o.FreeBytes = func() uint64 { return math.MaxUint64 }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o StoreOptions) validate() error {
	switch {
	case o.Dir == "":
		return errors.New("raftsnap: StoreOptions.Dir is empty")
	case o.Name == "" || strings.ContainsAny(o.Name, "./\\"):
		return fmt.Errorf("raftsnap: StoreOptions.Name is %q", o.Name)
	case o.Open == nil || o.OpenReceiving == nil:
		return errors.New("raftsnap: StoreOptions.Open or OpenReceiving is nil")
	}
	return nil
}

// Store is one shard's engine folders. Its methods may be called concurrently.
type Store struct {
	o       StoreOptions
	pointer string // path of the pointer file

	// changing is held during all that may change the pointer file or which
	// receiver there is.
	changing sync.Mutex

	mu struct {
		sync.Mutex
		ptr       pointer
		current   engine.Engine
		receiving *Receiver // not complete yet; nil: none
		complete  *Receiver // waits for Switch; nil: none
		// used are the folders that must not be swept. The value is the engine
		// that a Switch replaced, nil for others.
		// Invariant: a folder is here before it is made.
		used    map[string]engine.Engine
		failed  error // ErrUncertain, or ErrClosed
		metrics Metrics
	}
}

// Metrics are a store's figures since OpenStore.
type Metrics struct {
	Receiving       bool   // a snapshot is being received
	ReceivedBytes   uint64 // of it, as chunks
	EstimatedBytes  uint64 // its size by the sender's word
	ReceivedRecords uint64
	Begun           uint64 // snapshots
	Completed       uint64
	Switched        uint64
	Failed          uint64 // by the disk, or refused for lack of space
}

// OpenStore opens the current engine, which the caller closes. It removes nothing;
// see Sweep. Errors, wrapped: engine.ErrCorrupt when the folders and the pointer
// file contradict each other, engine.ErrDataFormat, and those of Open.
func OpenStore(o StoreOptions) (*Store, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	st := &Store{o: o, pointer: o.FS.PathJoin(o.Dir, o.Name+".current")}
	st.mu.used = make(map[string]engine.Engine)
	if err := st.open(); err != nil {
		return nil, fmt.Errorf("raftsnap: open shard %s: %w", o.Name, err)
	}
	return st, nil
}

func (st *Store) open() error {
	fs := st.o.FS
	if err := fs.MkdirAll(st.o.Dir, 0o755); err != nil {
		return noSpace(err)
	}
	// The pointer file that is read may not have been synced: the last process
	// may have been killed between the rename and the sync of the folder.
	if err := errors.Join(syncDir(fs, fs.PathDir(st.o.Dir)), syncDir(fs, st.o.Dir)); err != nil {
		return err
	}
	ptr, err := readPointer(fs, st.pointer, st.o.Name)
	if err != nil {
		return err
	}
	if err := st.checkFolders(ptr); err != nil {
		return err
	}
	eng, err := st.o.Open(st.dir(ptr.Folder))
	if err != nil {
		return err
	}
	st.mu.ptr, st.mu.current = ptr, eng
	st.mu.used[ptr.Folder] = nil
	return nil
}

// checkFolders sees to it that a lost pointer file, or a lost folder, does not pass
// for an empty shard, whose data would then be swept.
func (st *Store) checkFolders(ptr pointer) error {
	folders, err := st.folders()
	if err != nil {
		return err
	}
	found := false
	for _, f := range folders {
		found = found || f == ptr.Folder
		if n, _ := folderNumber(st.o.Name, f); n >= ptr.Next {
			return fmt.Errorf("%w: folder %s is there, but %s does not know of it", engine.ErrCorrupt, f, st.pointer)
		}
	}
	if !found && ptr.Next > 1 {
		return fmt.Errorf("%w: folder %s is missing, which %s names", engine.ErrCorrupt, ptr.Folder, st.pointer)
	}
	return nil
}

func (st *Store) dir(folder string) string { return st.o.FS.PathJoin(st.o.Dir, folder) }

// Engine returns the current engine.
func (st *Store) Engine() engine.Engine {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.mu.current
}

// Pending returns the meta of the last Switch if no Done followed it. After
// OpenStore that means: the process ended in between, and the log is to follow
// meta before anything is appended to it. The reset may have been done already:
// where the log begins at meta's index there is only Done left to call. The caller
// must not change meta.
func (st *Store) Pending() (meta []byte, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.mu.ptr.Meta, st.mu.ptr.Pending
}

// Metrics returns the store's figures.
func (st *Store) Metrics() Metrics {
	st.mu.Lock()
	defer st.mu.Unlock()
	m := st.mu.metrics
	m.Receiving = st.mu.receiving != nil
	return m
}

// setPointer makes ptr the pointer, on disk first. changing is held.
func (st *Store) setPointer(ptr pointer) error {
	st.mu.Lock()
	err := st.mu.failed
	st.mu.Unlock()
	if err != nil {
		return err
	}
	err = writePointer(st.o.FS, st.pointer, ptr)
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case err == nil:
		st.mu.ptr = ptr
	case errors.Is(err, ErrUncertain):
		st.mu.failed = err
	}
	return err
}

// Switch makes what r received the current engine, and returns it, open. When it
// returns, a crash leaves the new engine, with r's meta pending until Done. The
// engine before is the caller's: when its readers are done, it is for Retire.
//
// Errors: ErrUncertain, wrapped, when the node must stop; with any other one
// nothing has changed, and Switch may be tried again: ErrNotComplete, ErrDiscarded,
// ErrClosed, those of Open, and those of the disk.
func (st *Store) Switch(r *Receiver) (engine.Engine, error) {
	st.changing.Lock()
	defer st.changing.Unlock()
	if !st.takeComplete(r) {
		return nil, r.notComplete()
	}
	eng, err := st.switchTo(r)
	if err != nil {
		// Where it is uncertain the pointer file may name the folder, which then
		// must not be removed any more.
		if !errors.Is(err, ErrUncertain) {
			st.putBack(r)
		}
		return nil, fmt.Errorf("raftsnap: shard %s: switch to %s: %w", st.o.Name, r.folder, err)
	}
	st.o.Logger.Info("switched to a received raft snapshot", "shard", st.o.Name, "id", r.id, "folder", r.folder)
	return eng, nil
}

// switchTo opens the received engine anew: whom an engine calls, and what is laid
// over it, is settled when it is opened, and the one that received must not call
// what the current one does. And so the folder is known to open before the pointer
// file names it.
func (st *Store) switchTo(r *Receiver) (engine.Engine, error) {
	eng, err := st.o.Open(st.dir(r.folder))
	if err != nil {
		return nil, noSpace(err)
	}
	st.mu.Lock()
	ptr := st.mu.ptr
	st.mu.Unlock()
	old := ptr.Folder
	ptr.Folder, ptr.Meta, ptr.Pending = r.folder, r.meta, true
	if err := st.setPointer(ptr); err != nil {
		return nil, errors.Join(err, eng.Close())
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.mu.used[old] = st.mu.current
	st.mu.current = eng
	st.mu.metrics.Switched++
	return eng, nil
}

// Done says that the log follows the last Switch's meta, durably, whatever the mode
// of its syncs. Nothing may be appended to the log between its reset and Done's
// success: a crash before Done leads to another reset. Errors: ErrUncertain,
// wrapped, when the node must stop; with any other one nothing has changed.
func (st *Store) Done() error {
	st.changing.Lock()
	defer st.changing.Unlock()
	st.mu.Lock()
	ptr := st.mu.ptr
	st.mu.Unlock()
	if !ptr.Pending {
		return nil
	}
	ptr.Meta, ptr.Pending = nil, false
	if err := st.setPointer(ptr); err != nil {
		return fmt.Errorf("raftsnap: shard %s: done: %w", st.o.Name, err)
	}
	return nil
}

// Close discards what was received and not switched to. It closes neither the
// current engine nor replaced ones. It can be called again.
func (st *Store) Close() error {
	st.changing.Lock()
	defer st.changing.Unlock()
	st.mu.Lock()
	if st.mu.failed == nil {
		st.mu.failed = ErrClosed
	}
	receiving, complete := st.mu.receiving, st.mu.complete
	st.mu.receiving, st.mu.complete = nil, nil
	st.mu.Unlock()
	return errors.Join(receiving.end(ErrClosed), complete.end(ErrClosed))
}
