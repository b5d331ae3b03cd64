package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Limits bound the history of a group. Zero means the default.
type Limits struct {
	// Active is how many groups are in use at a time.
	Active int
	// Operations and Unknown are the numbers of operations, and of those with
	// unknown outcome, from which a group is not used any more.
	Operations, Unknown int
}

func (l Limits) withDefaults() Limits {
	if l.Active == 0 {
		l.Active = 8
	}
	if l.Operations == 0 {
		l.Operations = 300
	}
	if l.Unknown == 0 {
		l.Unknown = 8
	}
	return l
}

// Book holds the histories of all groups. Its methods may be called concurrently.
type Book struct {
	limits Limits
	prefix string
	start  time.Time

	mu struct {
		sync.Mutex
		groups []*Group // all
		active []*Group
	}
}

// Group is two keys and their history.
type Group struct {
	// Number counts groups from 0.
	Number int
	// Counted groups hold numbers: Incr and IncrPair are for them, Append is not.
	Counted bool
	// Keys have one hash tag.
	Keys [2]string

	limits Limits
	mu     struct {
		sync.Mutex
		ops     []porcupine.Operation
		begun   int // operations that were asked for, recorded or not
		unknown int
	}
}

// NewBook returns an empty book. prefix begins the name of every key.
func NewBook(prefix string, limits Limits) *Book {
	return &Book{limits: limits.withDefaults(), prefix: prefix, start: time.Now()}
}

// Now returns the time for call and return, on the monotonic clock.
func (b *Book) Now() int64 { return int64(time.Since(b.start)) }

// Pick returns a group for the next operation.
func (b *Book) Pick(rng *rand.Rand) *Group {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.mu.active) < b.limits.Active {
		b.mu.active = append(b.mu.active, b.newGroupLocked())
	}
	i := rng.IntN(len(b.mu.active))
	if b.mu.active[i].begin() {
		return b.mu.active[i]
	}
	b.mu.active[i] = b.newGroupLocked()
	b.mu.active[i].begin()
	return b.mu.active[i]
}

// Groups returns all groups that were ever in use.
func (b *Book) Groups() []*Group {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*Group(nil), b.mu.groups...)
}

func (b *Book) newGroupLocked() *Group {
	n := len(b.mu.groups)
	tag := fmt.Sprintf("%s{%d}", b.prefix, n)
	g := &Group{Number: n, Counted: n%3 == 2, Keys: [2]string{tag + "a", tag + "b"}, limits: b.limits}
	b.mu.groups = append(b.mu.groups, g)
	return g
}

// begin reports whether the group may be used once more.
func (g *Group) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.begun++
	return g.mu.begun <= g.limits.Operations && g.mu.unknown < g.limits.Unknown
}

// Add records an operation. Those that certainly did not happen are not to be
// recorded, and reads without an answer need not be.
func (g *Group) Add(client int, in Input, out Output, call, ret int64) {
	if out.Unknown {
		if in.Kind.Reads() {
			return
		}
		out, ret = Output{Unknown: true}, math.MaxInt64
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if out.Unknown {
		g.mu.unknown++
	}
	g.mu.ops = append(g.mu.ops, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: ret})
}

// Size returns how many operations are recorded, and how many of unknown outcome.
func (g *Group) Size() (operations, unknown int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.mu.ops), g.mu.unknown
}

func (g *Group) operations() []porcupine.Operation {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]porcupine.Operation(nil), g.mu.ops...)
}
