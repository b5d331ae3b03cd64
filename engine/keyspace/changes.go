package keyspace

// changeSlots is the size of the change table: a WATCH that n other writes pass
// by is aborted without need with a probability of n in changeSlots.
const changeSlots = 1 << 16

// maxKeptUndo is how long an undo list may be and still be kept for the next batch.
const maxKeptUndo = 1 << 14

// changeTable remembers at which position keys last changed, for WATCH: by key
// hash, newest first, older ones of the same slot forgotten (the newer position
// stands for both, so a change is never missed). It belongs to the writer.
type changeTable struct {
	slots []uint64
	// databases holds the position of the last change of a whole logical
	// database: FLUSHDB, SWAPDB.
	databases [Databases]uint64
	// floor: what changed up to here is not known, so everything may have.
	floor uint64
	// undo restores what the open batch overwrote, should it come to nothing:
	// its position will be another batch's.
	undo []changeUndo
}

type changeUndo struct {
	place *uint64
	was   uint64
}

func (t *changeTable) init() {
	t.slots = make([]uint64, changeSlots)
}

// slot mixes the database into a key's hash.
func (t *changeTable) slot(db int, hash uint64) *uint64 {
	return &t.slots[(hash+uint64(db)*0x9e3779b97f4a7c15)>>(64-16)&(changeSlots-1)]
}

func (t *changeTable) record(db int, hash, position uint64) {
	t.set(t.slot(db, hash), position)
}

func (t *changeTable) recordDatabase(db int, position uint64) {
	t.set(&t.databases[db], position)
}

func (t *changeTable) set(place *uint64, position uint64) {
	if *place != position {
		t.undo = append(t.undo, changeUndo{place, *place})
		*place = position
	}
}

// keep makes what was recorded since the last keep or forget final.
func (t *changeTable) keep() {
	if cap(t.undo) > maxKeptUndo {
		t.undo = nil
	}
	t.undo = t.undo[:0]
}

// forget takes back what was recorded since.
func (t *changeTable) forget() {
	for i := len(t.undo) - 1; i >= 0; i-- {
		*t.undo[i].place = t.undo[i].was
	}
	t.keep()
}

func (t *changeTable) after(db int, hash, since uint64) bool {
	return since < t.floor || t.databases[db] > since || *t.slot(db, hash) > since
}
