package keyspace

import (
	"math/rand/v2"
	"sync"
)

// Cursor is a SCAN cursor: where a scan goes on. 0 begins a scan, and as a result
// says that it is over.
//
//	63                                  14 13       0
//	+-------------------------------------+----------+
//	| token                               | slot     |
//	+-------------------------------------+----------+
//
// Token 0 is the start of the slot. Any other stands for a position in the slot
// that cursorTable remembers; one that it does not know (any more) means the start
// of the slot too, which may return keys twice but never misses one.
type Cursor uint64

const (
	cursorSlotBits = 14
	maxCursorToken = 1<<(64-cursorSlotBits) - 1
)

// Slot returns the slot in which the scan goes on.
func (c Cursor) Slot() Slot { return Slot(c & (SlotCount - 1)) }

// CursorAt returns the cursor of a scan that goes on at the start of a slot. For
// slot 0 it is that of a new scan.
func CursorAt(s Slot) Cursor { return makeCursor(s, 0) }

func (c Cursor) token() uint64 { return uint64(c >> cursorSlotBits) }

func makeCursor(slot Slot, token uint64) Cursor {
	return Cursor(token<<cursorSlotBits | uint64(slot))
}

// Bounds of the positions that are remembered, over all scans of all clients. The
// oldest are forgotten first; the newest is always kept.
const (
	maxCursors     = 1 << 14
	maxCursorBytes = 16 << 20
)

// cursorTable remembers positions of scans.
type cursorTable struct {
	mu struct {
		sync.Mutex
		positions map[uint64]scanPosition
		// queue holds the tokens, oldest first, from head on around.
		queue [maxCursors]uint64
		head  int
		bytes int
	}
}

// scanPosition says that a scan has returned everything up to key.
type scanPosition struct {
	db   int // logical
	slot Slot
	key  string
}

func (t *cursorTable) init() {
	t.mu.positions = make(map[uint64]scanPosition)
}

// put remembers a position. Tokens are random, so that one of another node or of
// an earlier run is not taken for one of this table.
func (t *cursorTable) put(p scanPosition) Cursor {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := len(t.mu.positions); n == maxCursors || n > 0 && t.mu.bytes+len(p.key) > maxCursorBytes; n-- {
		oldest := t.mu.queue[t.mu.head]
		t.mu.head = (t.mu.head + 1) % maxCursors
		t.mu.bytes -= len(t.mu.positions[oldest].key)
		delete(t.mu.positions, oldest)
	}
	token := uint64(0)
	for taken := true; taken; _, taken = t.mu.positions[token] {
		token = 1 + rand.Uint64N(maxCursorToken)
	}
	t.mu.queue[(t.mu.head+len(t.mu.positions))%maxCursors] = token
	t.mu.positions[token] = p
	t.mu.bytes += len(p.key)
	return makeCursor(p.slot, token)
}

// get returns the key after which a cursor goes on; ok is false when that is the
// start of its slot.
func (t *cursorTable) get(c Cursor, db int) (after string, ok bool) {
	if c.token() == 0 {
		return "", false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.mu.positions[c.token()]
	if !ok || p.db != db || p.slot != c.Slot() {
		return "", false
	}
	return p.key, true
}
