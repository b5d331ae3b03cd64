package script

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Limits on what a script may do, whatever it is.
const (
	maxScriptBytes  = 1 << 20 // of source text: a syntax tree is some fifty times as large
	maxSyntaxLevels = 200     // of nesting, as Lua has it
	maxChain        = 4000    // operators of one chain, which the compiler goes into one by one
	maxCallDepth    = 8192    // Lua functions that have called each other
	maxNested       = 190     // pcall, resume and so on within each other, as Lua's C calls
	maxRegistry     = 1 << 17 // values on the stack of one coroutine
	maxUnpack       = 7998    // arguments of a protected call, and results of cmsgpack.unpack
	maxStack        = 8000    // values of a library function, its arguments included, as Lua has it
	maxArrayIndex   = 1 << 22 // keys from here on are not in a table's array part
	checkTicks      = 1 << 10 // instructions between two looks at the clock
	checkBytes      = 1 << 20 // allocated between two looks at the memory
	longBytes       = 1 << 18 // strings from here on shorten the time between two looks
	spendPerTick    = 1 << 4  // steps of a library function that count as an instruction
	maxReplyDepth   = 1000    // of tables in a reply
)

// A meter counts what a script does, and stops it. The interpreter asks for the Done
// channel of its context before each instruction: that is the meter's tick, so that
// no timer and no other goroutine is needed.
type meter struct {
	run   *run
	left  int // ticks until the next look at clock and memory
	bytes int // may be allocated until the next look at the memory
	// longest is the length of the longest string that the script may have. Comparing it,
	// or looking it up in a table, is one instruction.
	longest int

	measured bool
	trip     uint64 // bytes in use at which the collector is asked
	base     uint64 // bytes in use before the script

	err error // why the script is stopped
}

var stopped = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// start readies the meter for a script.
func (m *meter) start(r *run) {
	*m = meter{run: r, left: checkTicks, bytes: checkBytes}
}

// Done is called before each instruction.
func (m *meter) Done() <-chan struct{} {
	if m.left--; m.left > 0 {
		return nil
	}
	return m.look()
}

// Err is what the interpreter raises when Done says stop.
func (m *meter) Err() error { return m.err }

// Deadline and Value are there for context.Context.
func (m *meter) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value has none.
func (m *meter) Value(any) any { return nil }

var _ context.Context = (*meter)(nil)

// look sees whether the script has to end. Once it has, every instruction is told so:
// a pcall catches the error but does not get any further.
func (m *meter) look() <-chan struct{} {
	if m.err == nil {
		m.left = m.ticks()
		m.err = m.run.overdue()
	}
	if m.err == nil {
		m.err = m.memory()
	}
	if m.err == nil {
		return nil
	}
	m.left = 0
	return stopped
}

// ticks is how many instructions there are until the next look.
func (m *meter) ticks() int { return max(checkTicks/(1+m.longest/longBytes), 1) }

// met says that the script may have a string of n bytes now.
func (m *meter) met(n int) {
	if n > m.longest {
		m.longest = n
		m.left = min(m.left, m.ticks())
	}
}

// spend counts steps of a library function, and raises an error when the script has
// to end.
func (m *meter) spend(L *lua.LState, steps int) {
	if m.left -= steps/spendPerTick + 1; m.left > 0 {
		return
	}
	if m.look() != nil {
		L.RaiseError("%s", m.err.Error())
	}
}

// charge counts memory that is about to be allocated, and raises an error when it is
// too much.
func (m *meter) charge(L *lua.LState, bytes int) {
	if m.fits(bytes) {
		return
	}
	L.RaiseError("%s", m.err.Error())
}

// fits counts memory that is about to be allocated and reports whether it may be.
func (m *meter) fits(bytes int) bool {
	if m.err != nil {
		return false
	}
	m.met(bytes) // it may be for one string
	if bytes > m.run.limit {
		m.err, m.left = errMemory, 0
		return false
	}
	if m.bytes -= bytes; m.bytes > 0 {
		return true
	}
	return m.look() == nil
}

// memory looks at the memory of the process: the interpreter keeps no account of its
// own, and what a script holds is part of it. It is measured from the first look on,
// which short scripts never get to, and compared with what the last collection has
// found to be in use. When it is more by the limit, a collection says how much of that
// is garbage.
//
// Accounting for each value was rejected: tables grow and shrink in ways that the
// interpreter does not tell, and whatever is forgotten is a way around the limit.
func (m *meter) memory() error {
	m.bytes = checkBytes
	if !m.measured {
		m.measured, m.base = true, memory(liveHeap, stackBytes)
		m.trip = m.base + uint64(m.run.limit)
	}
	if memory(heapObjects, stackBytes) < m.trip {
		return nil
	}
	runtime.GC()
	now := memory(liveHeap, stackBytes)
	m.base = min(m.base, now) // what the collection before has found may be garbage by now
	if now > m.base+uint64(m.run.limit) {
		return errMemory
	}
	m.trip = now + uint64(m.run.limit)
	return nil
}

// Figures of runtime/metrics: all objects, those that the last collection has found in
// use, and stacks.
const (
	heapObjects = "/memory/classes/heap/objects:bytes"
	liveHeap    = "/gc/heap/live:bytes"
	stackBytes  = "/memory/classes/heap/stacks:bytes"
)

// memory is the sum of two figures.
func memory(a, b string) uint64 {
	s := [...]metrics.Sample{{Name: a}, {Name: b}}
	metrics.Read(s[:])
	sum := uint64(0)
	for i := range s {
		if s[i].Value.Kind() == metrics.KindUint64 {
			sum += s[i].Value.Uint64()
		}
	}
	return sum
}
