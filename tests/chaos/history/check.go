package history

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Violation is a group whose history no correct store could have given, or
// (Undecided) for which that was not found out within the time.
type Violation struct {
	Group     *Group
	Undecided bool
}

// Check checks groups, each for at most limit, as many at a time as there are
// processors. It returns those that are not linearizable.
func Check(groups []*Group, limit time.Duration) []Violation {
	var (
		mu   sync.Mutex
		out  []Violation
		wg   sync.WaitGroup
		work = make(chan *Group)
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for g := range work {
				if v, ok := g.check(limit); !ok {
					mu.Lock()
					out = append(out, v)
					mu.Unlock()
				}
			}
		})
	}
	for _, g := range groups {
		work <- g
	}
	close(work)
	wg.Wait()
	slices.SortFunc(out, func(a, b Violation) int { return a.Group.Number - b.Group.Number })
	return out
}

func (g *Group) check(limit time.Duration) (Violation, bool) {
	switch porcupine.CheckOperationsTimeout(Model, g.operations(), limit) {
	case porcupine.Ok:
		return Violation{}, true
	case porcupine.Unknown:
		return Violation{Group: g, Undecided: true}, false
	}
	return Violation{Group: g}, false
}

// Visualize writes a page that shows the history and the longest part of it
// that is in order.
func (g *Group) Visualize(w io.Writer, limit time.Duration) error {
	_, info := porcupine.CheckOperationsVerbose(Model, g.operations(), limit)
	return porcupine.Visualize(Model, info, w)
}

// Write writes the history as text, in the order of the calls.
func (g *Group) Write(w io.Writer) error {
	ops := g.operations()
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	fmt.Fprintf(w, "group %d: A is %s, B is %s\n", g.Number, g.Keys[0], g.Keys[1])
	for _, op := range ops {
		end := "never"
		if op.Return != math.MaxInt64 {
			end = fmt.Sprintf("%.6f", time.Duration(op.Return).Seconds())
		}
		if _, err := fmt.Fprintf(w, "%12.6f %12s  client %-3d %s\n", time.Duration(op.Call).Seconds(), end,
			op.ClientId, Model.DescribeOperation(op.Input, op.Output)); err != nil {
			return err
		}
	}
	return nil
}
