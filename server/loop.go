package server

import "dkv/server/command"

// host is who runs a connection on behalf of several: an event loop, or what sees
// its round through. A connection that is about to wait leaves it.
type host interface {
	// goOn has the others served by another goroutine.
	goOn()
}

// leave is called on a connection's goroutine before it waits for anything but its
// client: others of its loop must not wait with it. Afterwards the goroutine is
// its own.
func (c *Conn) leave() {
	if h := c.host; h != nil {
		c.host = nil
		h.goOn()
	}
}

const (
	// coldRead is how long reads last, on average, from which on each is run on a
	// goroutine of its own: they come from the disk.
	coldRead = 20e3 // nanoseconds
	// maxSample bounds what one read counts for. Alone it says nothing: the
	// goroutine may not have had a processor.
	maxSample = 200e3
)

// maxLookups is how many keys, or elements, a command looks up while others wait for it.
const maxLookups = 256

// lookups is about how many keys, or elements of a collection, a fast command looks up,
// at least 1: MGET of ten is ten reads. Without Redis's fast flag it says nothing.
func lookups(spec *command.Spec, args [][]byte) int {
	if spec.Arity >= 0 || spec.Flags&command.FlagFast == 0 {
		return 1
	}
	return max(len(args)-1, 1)
}

// took notes how long a look-up lasted in the loop's pace, which is their average of
// late, in nanoseconds. Several goroutines note it without order; it need not be
// exact.
func (l *loop) took(nanos int64) {
	avg := l.pace.Load()
	if next := avg + (min(nanos, maxSample)-avg)/16; next != avg {
		l.pace.Store(next)
	}
}

// readsTogether is how many elements of a collection count for one read.
const readsTogether = 64

// tookFor is took for a read of several elements. Of long ones, which nobody waits
// for, it notes nothing.
func (l *loop) tookFor(nanos, elements int64) {
	if elements <= 4*readsTogether {
		l.took(nanos / (1 + elements/readsTogether))
	}
}

// cold says whether reads wait for the disk at present.
func (l *loop) cold() bool { return l.pace.Load() > coldRead }
