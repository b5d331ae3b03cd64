package keyspace

import "sync/atomic"

// accessSlots is the size of the access table.
const accessSlots = 1 << 16

// accessTable remembers when keys were last used, in seconds, for OBJECT
// IDLETIME: by key hash, without telling keys of one slot apart. So the idle time
// that it gives is a lower bound, which is exact as long as no other key of the
// same slot was used since; and it knows nothing from before the start. An exact
// table would cost memory for every key on disk.
type accessTable struct {
	start atomic.Int64    // time of the first transaction, Unix time in seconds
	slots []atomic.Uint32 // seconds after start less longIdle; 0: not used since start
}

// longIdle is the longest idle time that can be given to a key, in seconds.
const longIdle = 1 << 30

func (t *accessTable) init() {
	t.slots = make([]atomic.Uint32, accessSlots)
}

// begin sets the start, once.
func (t *accessTable) begin(nowMS int64) {
	if t.start.Load() == 0 {
		t.start.CompareAndSwap(0, nowMS/1000)
	}
}

// touch notes a use. Most calls find the second already there and only read.
func (t *accessTable) touch(hash uint64, nowMS int64) {
	slot := &t.slots[hash&(accessSlots-1)]
	if second := t.second(nowMS); slot.Load() != second {
		slot.Store(second)
	}
}

func (t *accessTable) second(nowMS int64) uint32 {
	return uint32(min(max(nowMS/1000-t.start.Load()+longIdle, 1), 1<<32-1))
}

// setIdle makes a use of seconds ago the last one.
func (t *accessTable) setIdle(hash uint64, nowMS, seconds int64) {
	t.slots[hash&(accessSlots-1)].Store(t.second(nowMS - min(seconds, longIdle)*1000))
}

// idle returns the seconds since the last use.
func (t *accessTable) idle(hash uint64, nowMS int64) int64 {
	last := t.start.Load()
	if second := t.slots[hash&(accessSlots-1)].Load(); second != 0 {
		last += int64(second) - longIdle
	}
	return max(nowMS/1000-last, 0)
}
