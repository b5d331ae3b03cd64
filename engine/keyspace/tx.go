package keyspace

import (
	"fmt"

	"dkv/engine"
)

// maxScratchBytes is how large a scratch buffer of a Tx may be and still be kept
// for the next use.
const maxScratchBytes = 64 << 10

// versionBlock is how many versions one version record reserves.
const versionBlock = 4096

// Tx is a view of a keyspace: of one state for reading, or of the batch being
// built for writing. The zero value is ready for BeginRead or BeginWrite. It is
// reused and belongs to one goroutine at a time; no method keeps its arguments.
type Tx struct {
	// Hits and Misses count the lookups by Read and Peek, Expired the expired
	// keys that a write replaced before the reaper met them. They only grow: the
	// owner takes differences.
	Hits, Misses, Expired uint64
	// Changes counts the changes of keys in the batch of a write Tx: one a key and
	// command, as a rule.
	Changes uint64
	// NoTouch leaves the access times of keys alone (CLIENT NO-TOUCH).
	NoTouch bool
	// KeepExpired has keys whose time has come be there all the same, as on a source
	// that has not deleted them yet. Only until the Tx is begun anew.
	KeepExpired bool

	ks   *Keyspace
	r    engine.Reader   // what reads see
	ov   *engine.Overlay // nil when read-only
	snap engine.Snapshot // closed by Close
	thaw engine.Reader   // r before Freeze
	// observer is told what a write Tx changes; see Observe.
	observer Observer
	// owner is told by Close.
	owner Releaser
	live  bool   // r is the engine itself, which moves on while tx reads
	now   int64  // Unix time in ms
	pos   uint64 // position of the batch being built
	view  dbView // read-only: the database map that reads go by
	// noting are the classes of events that are noted, notes those of the batch.
	noting Class
	notes  []byte
	// See changed.go: tracked has keys noted that were written to without a change,
	// touchedAt is where the last ClassTouched stands in notes (0: none).
	tracked   bool
	touchedAt int
	writer    []byte
	owned     bool // see Owned

	// Scratch buffers. value holds the record of the latest lookup, aside that
	// of the latest FindTarget, so that a command can hold two. record and spare
	// take turns to hold the record being written.
	key, value, aside, record, spare []byte
	// elem holds the key of an element record, old the value that it had, body a
	// collection's Meta body that is being written.
	elem, old, body []byte
	score           []byte // scratch of Score
	// fieldIn holds a field's value as it was found, fieldOut as it is written.
	fieldIn, fieldOut []byte

	// The write side: what this batch changes.
	dbMap       dbMap
	swaps       int  // how often this batch changed dbMap
	mapChanged  bool // Finish has told readers that it did
	finished    bool
	dirty       uint16 // physical databases with changed counts
	delta       [Databases]count
	undo        []countChange
	versionCeil Version // new content of the version record; 0: unchanged
	firstRecord uint32  // number of records in the batch at BeginWrite
	reapedFrom  int64   // what reapBehind was before Reap took it
	reapAgain   int64   // the earliest field expiry that Reap has left
	reapKeys    []byte  // scratch of Reap
	reapEnds    []int
}

// countChange is a step of a batch's count changes, kept to undo it.
type countChange struct {
	db physical
	by count
}

// BeginRead readies tx to read r: the engine, or a snapshot of it, which tx.Close
// then closes. A command that looks at more than one key (or iterates) needs a
// snapshot to see one state; a single-key read does not.
func (ks *Keyspace) BeginRead(tx *Tx, r engine.Reader, nowMS int64) {
	tx.begin(ks, r, nowMS)
	if _, tx.live = r.(engine.Engine); !tx.live {
		tx.snap, _ = r.(engine.Snapshot)
	}
}

// Releaser is told when a read Tx ends.
type Releaser interface{ Release() }

// OnClose makes Close tell r, once, that nothing of the engine is used any more.
// For read Txs, after BeginRead.
func (tx *Tx) OnClose(r Releaser) { tx.owner = r }

// BeginWrite readies tx to evaluate a batch over ov, which the caller has reset.
// Changes are recorded for WATCH at position pos. Finish, then Publish or
// Discard, end it.
func (ks *Keyspace) BeginWrite(tx *Tx, ov *engine.Overlay, nowMS int64, pos uint64) {
	tx.begin(ks, ov, nowMS)
	tx.ov = ov
	tx.pos, tx.Changes = pos, 0
	tx.firstRecord = ov.Batch().Count()
	tx.dbMap = dbMap(ks.dbMap.Load())
	tx.reapedFrom = noReapBehind
	if ks.evaluating {
		ks.forgetPops() // what the last batch did was not applied
	}
	ks.evaluating = true
}

func (tx *Tx) begin(ks *Keyspace, r engine.Reader, nowMS int64) {
	tx.ks, tx.r, tx.now = ks, r, nowMS
	tx.ov, tx.snap, tx.thaw, tx.live = nil, nil, nil, false
	tx.observer = nil
	tx.view, tx.KeepExpired = dbView{}, false
	tx.noting, tx.tracked, tx.touchedAt, tx.writer, tx.owned = 0, false, 0, nil, false
	if ks.notifier != nil {
		tx.noting, tx.tracked = ks.notifier.Classes(), ks.notifier.tracked.Load()
	}
	ks.access.begin(nowMS)
}

// end forgets the batch of a write Tx.
func (tx *Tx) end() {
	if tx.dirty != 0 || len(tx.undo) != 0 {
		clear(tx.delta[:])
	}
	tx.dirty, tx.undo = 0, tx.undo[:0]
	tx.finished, tx.versionCeil, tx.swaps = false, 0, 0
	tx.r, tx.ov = nil, nil
	if tx.notes = tx.notes[:0]; cap(tx.notes) > maxKeptNotes {
		tx.notes = nil
	}
	tx.Trim()
}

// Close ends a read Tx and releases its snapshot, if it has one. It may be called
// again.
func (tx *Tx) Close() (err error) {
	tx.r, tx.thaw = nil, nil
	tx.Trim()
	if snap := tx.snap; snap != nil {
		tx.snap = nil
		err = snap.Close()
	}
	if owner := tx.owner; owner != nil {
		tx.owner = nil
		owner.Release()
	}
	return err
}

// Freeze makes a Tx that reads a live engine see one state from now on, until Thaw,
// and reports whether it did: other Txs see one state anyway. Entries that were found
// before are of an earlier one.
func (tx *Tx) Freeze() bool {
	if !tx.live {
		return false
	}
	tx.thaw = tx.r
	tx.snap = tx.r.(engine.Engine).NewSnapshot()
	tx.r, tx.live, tx.view = tx.snap, false, dbView{}
	return true
}

// Thaw ends what Freeze began, if it did. Entries found before are not valid after.
func (tx *Tx) Thaw() error {
	if tx.thaw == nil {
		return nil
	}
	snap := tx.snap
	tx.r, tx.live, tx.view = tx.thaw, true, dbView{}
	tx.snap, tx.thaw = nil, nil
	return snap.Close()
}

// Trim gives back scratch memory that a large value took. Entries found before
// are invalid after it.
func (tx *Tx) Trim() {
	for _, buf := range [...]*[]byte{&tx.key, &tx.value, &tx.aside, &tx.record, &tx.spare,
		&tx.elem, &tx.old, &tx.body, &tx.fieldIn, &tx.fieldOut} {
		if cap(*buf) > maxScratchBytes {
			*buf = nil
		}
	}
}

// Now returns the time that the transaction sees, Unix time in ms.
func (tx *Tx) Now() int64 { return tx.now }

// Past reports whether a key with that expiry is to be deleted at once.
func (tx *Tx) Past(expireAt int64) bool { return expireAt <= tx.now && !tx.KeepExpired }

// SetNow sets the time that the commands evaluated next see.
func (tx *Tx) SetNow(nowMS int64) { tx.now = nowMS }

// Mark is a state of a write Tx that Rollback takes it back to.
type Mark struct {
	overlay engine.Mark
	dbMap   dbMap
	swaps   int
	undo    int
	notes   int
	changes uint64
}

// Mark returns the present state of a write Tx.
func (tx *Tx) Mark() Mark {
	return Mark{overlay: tx.ov.Mark(), dbMap: tx.dbMap, swaps: tx.swaps, undo: len(tx.undo), notes: len(tx.notes),
		changes: tx.Changes}
}

// Rollback undoes every change since m. Keys that were changed since stay
// recorded as changed for WATCH, which may abort a transaction without need.
func (tx *Tx) Rollback(m Mark) {
	if m.overlay != tx.ov.Mark() {
		tx.ks.forgetPops()
	}
	for i := len(tx.undo) - 1; i >= m.undo; i-- {
		c := tx.undo[i]
		d := &tx.delta[c.db]
		d.keys -= c.by.keys
		d.expires -= c.by.expires
		d.ttlSum -= c.by.ttlSum
	}
	tx.undo = tx.undo[:m.undo]
	tx.dbMap, tx.swaps = m.dbMap, m.swaps
	tx.notes, tx.Changes = tx.notes[:m.notes], m.changes
	if tx.touchedAt >= m.notes {
		tx.touchedAt = 0
	}
	tx.ov.Rollback(m.overlay)
}

// Finish writes the changed records of the keyspace itself into the overlay: the
// last step before the batch is proposed.
func (tx *Tx) Finish() {
	ks := tx.ks
	for _, c := range tx.undo {
		tx.dirty |= 1 << c.db
	}
	for i := range Databases {
		if tx.dirty&(1<<i) == 0 {
			continue
		}
		if tx.delta[i] == (count{}) {
			tx.dirty &^= 1 << i
			continue
		}
		tx.key = appendCountKey(tx.key[:0], physical(i))
		tx.record = tx.countOf(physical(i)).appendTo(tx.record[:0])
		tx.ov.Put(tx.key, tx.record)
	}
	if !ks.formatThere {
		tx.ov.Put(formatKey, []byte{formatVersion})
		tx.finished = true
	}
	if tx.versionCeil != 0 {
		tx.record = appendUint64(tx.record[:0], uint64(tx.versionCeil))
		tx.ov.Put(versionKey, tx.record)
	}
	if len(tx.notes) != 0 {
		tx.ov.Put(NotesKey, tx.notes)
	}
	if tx.swaps != 0 {
		tx.mapChanged = true
		ks.beginMapChange()
	}
}

// NextVersion returns a version that no key of this shard ever had.
func (tx *Tx) NextVersion() Version {
	ks := tx.ks
	ks.nextVersion++
	if v := ks.nextVersion; v >= max(ks.versionCeil, tx.versionCeil) {
		tx.versionCeil = v + versionBlock
	}
	return ks.nextVersion
}

// countOf returns the counts of a database with this batch's changes.
func (tx *Tx) countOf(db physical) count {
	c, d := tx.ks.counts[db].load(), tx.delta[db]
	return count{c.keys + d.keys, c.expires + d.expires, c.ttlSum + d.ttlSum}
}

func (tx *Tx) addCount(db physical, by count) {
	if by == (count{}) {
		return
	}
	d := &tx.delta[db]
	d.keys += by.keys
	d.expires += by.expires
	d.ttlSum += by.ttlSum
	tx.undo = append(tx.undo, countChange{db, by})
}

// changed records a change of a key for WATCH.
func (tx *Tx) changed(db int, hash uint64) {
	tx.Changes++
	tx.ks.changes.record(db, hash, tx.pos)
	if tx.observer != nil {
		tx.observer.KeyChanged(db, hash)
	}
}

// databaseChanged is changed for all keys of a database.
func (tx *Tx) databaseChanged(db int) {
	tx.Changes++
	tx.ks.changes.recordDatabase(db, tx.pos)
	if tx.observer != nil {
		tx.observer.DatabaseChanged(db)
	}
}

// Observer is told which keys a write Tx changes, as they are changed: also of those
// whose change is undone later. Keys are told by what Keyspace.Hash makes of them.
type Observer interface {
	KeyChanged(db int, hash uint64)
	// DatabaseChanged: any key of it may have changed.
	DatabaseChanged(db int)
}

// Observe has o told of changes until the batch ends. For write Txs, after
// BeginWrite.
func (tx *Tx) Observe(o Observer) { tx.observer = o }

// Changed reports whether another write changed key after position since, see
// Keyspace.Changed. For write Txs.
func (tx *Tx) Changed(db int, key []byte, since uint64) bool {
	return tx.ks.Changed(db, key, since)
}

// ExpiredSince reports whether key has expired since the time sinceMS, without
// having been deleted yet. EXEC fails for such a key as for a changed one; once
// the reaper has deleted it, Changed tells.
func (tx *Tx) ExpiredSince(db int, key []byte, sinceMS int64) (bool, error) {
	e, err := tx.find(db, key, &tx.value)
	if err != nil {
		return false, err
	}
	return e.stored && !e.Exists() && e.was.ExpireAt >= sinceMS, nil
}

// DBSize returns the number of keys, those included whose time has come but which
// have not been deleted yet.
func (tx *Tx) DBSize(db int) (int64, error) {
	if tx.ov != nil {
		return tx.countOf(tx.dbMap.of(db)).keys, nil
	}
	for {
		m, err := tx.openView()
		if err != nil {
			return 0, err
		}
		var c count
		if c, tx.key, err = readCount(tx.r, m.of(db), tx.key); err != nil {
			return 0, fmt.Errorf("keyspace: read count: %w", err)
		}
		if ok, err := tx.closeView(); ok || err != nil {
			return c.keys, err
		}
	}
}
