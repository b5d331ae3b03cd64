package consensus

import (
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// simLogDir is where a node's log lives on its disk.
const simLogDir = "log"

// simLoss says what a crash does to what was not synced.
type simLoss int

const (
	loseNothing simLoss = iota // the process was killed, the machine goes on
	loseAll
	loseSome
)

// simDisk is a node's disk under its log.
type simDisk struct {
	mem  *vfs.MemFS
	full bool
	// ops counts what changes the disk; before number crashAt the machine stops.
	ops, crashAt int
	loss         simLoss
	// spent is the time that syncs took since the node's event began.
	spent time.Duration
	// off: the machine has stopped, what is still written goes nowhere.
	off  bool
	next *vfs.MemFS // what it finds when it is switched on again
}

func newSimDisk() *simDisk { return &simDisk{mem: vfs.NewCrashableMem()} }

// fs returns the file system for one run of a process.
func (n *simNode) fs() vfs.FS {
	return errorfs.Wrap(n.disk.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileClose || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || n.disk.off {
			return nil
		}
		n.diskOp()
		switch op.Kind {
		case errorfs.OpFilePreallocate:
			if n.disk.full {
				n.w.stats.NoSpace++
				return syscall.ENOSPC
			}
		case errorfs.OpFileSync, errorfs.OpFileSyncData:
			n.disk.spent += n.w.syncTime(n)
		}
		return nil
	}))
}

// diskOp comes before each change of what is on the disk, the engine's included.
func (n *simNode) diskOp() {
	d := n.disk
	d.ops++
	if d.crashAt > 0 && d.ops >= d.crashAt && !d.off {
		n.w.log(n.id, "crash at op", uint64(d.ops), uint64(d.loss))
		n.switchOff(d.loss)
	}
}

// switchOff stops the machine, in the middle of whatever it does. From now on
// nothing that the node does has any effect.
func (n *simNode) switchOff(loss simLoss) {
	d := n.disk
	d.next = d.clone(n.w, loss)
	d.off, d.crashAt = true, 0
}

// switchOn gives the node what its disk held when the machine stopped.
func (d *simDisk) switchOn() {
	d.mem, d.next, d.off = d.next, nil, false
}

// clone is MemFS.CrashClone, but for one thing: there, what of the unsynced data
// survives depends on the order in which a map is walked.
func (d *simDisk) clone(w *world, loss simLoss) *vfs.MemFS {
	synced := d.mem.CrashClone(vfs.CrashCloneCfg{})
	if loss == loseAll {
		return synced
	}
	all := d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: w.r})
	if loss == loseNothing {
		return all
	}
	to, from := synced, all
	if w.chance(0.5) {
		to, from = all, synced
	}
	names, err := to.List(simLogDir)
	if err != nil {
		return to
	}
	slices.Sort(names)
	for _, name := range names {
		a, b := simRead(to, name), simRead(from, name)
		if string(a) == string(b) || len(b) == 0 {
			continue
		}
		f, err := to.OpenReadWrite(simLogDir+"/"+name, vfs.WriteCategoryUnspecified)
		if err != nil {
			panic(err)
		}
		const sector = 512
		for off := 0; off < len(b); off += sector {
			if w.chance(0.5) {
				f.WriteAt(b[off:min(off+sector, len(b))], int64(off))
			}
		}
		f.Sync()
		f.Close()
	}
	return to
}

func simRead(fs *vfs.MemFS, name string) []byte {
	f, err := fs.Open(simLogDir + "/" + name)
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		panic(err)
	}
	b := make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		panic(err)
	}
	return b
}
