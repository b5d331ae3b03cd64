package keyspace

import (
	"errors"
	"fmt"

	"dkv/engine"
)

// countStep is how many members Count reads on one side before it looks at the other.
const countStep = 128

// Count returns how many members of a sorted set stand between two places.
//
// There is no index of ranks: members are counted. It reads those between the places and
// those outside by turns, until either are at an end, so that what it reads is
// at most about twice the smaller of the two numbers: ranks near either end of a set cost little,
// whichever end they count from.
func (c *Collection) Count(from, to Place) (n int64, err error) {
	switch {
	case !from.set && !to.set:
		return c.Len(), nil
	case from.set && to.set && string(from.appendKey(nil)) >= string(to.appendKey(nil)):
		return 0, nil
	case !c.separate:
		err := c.inlineScores(from, to, false, func([]byte, float64) bool {
			n++
			return true
		})
		return n, err
	}
	within, without := counter{c: c}, counter{c: c}
	within.ranges = append(within.ranges, placeRange{from, to})
	if from.set {
		without.ranges = append(without.ranges, placeRange{Place{}, from})
	}
	if to.set {
		without.ranges = append(without.ranges, placeRange{to, Place{}})
	}
	n, err = countEither(&within, &without)
	return n, errors.Join(err, within.close(nil), without.close(nil))
}

// countEither lets two counters take turns and returns what the first counts, by what
// the second does not if that is sooner at its end.
func countEither(within, without *counter) (int64, error) {
	for {
		if err := within.step(); err != nil || within.done() {
			return within.n, err
		}
		if err := without.step(); err != nil || without.done() {
			return within.c.Len() - without.n, err
		}
	}
}

type placeRange struct{ from, to Place }

// counter counts the score records of some ranges, step by step.
type counter struct {
	c      *Collection
	ranges []placeRange // that are not counted to their end
	it     engine.Iterator
	n      int64
}

func (k *counter) done() bool { return len(k.ranges) == 0 }

// step counts up to countStep records.
func (k *counter) step() error {
	for left := countStep; left > 0 && !k.done(); left-- {
		there := false
		if k.it != nil {
			there = k.it.Next()
		} else {
			o, err := k.c.scoreRange(k.ranges[0].from, k.ranges[0].to)
			if err != nil {
				return err
			}
			if k.it, err = k.c.tx.r.NewIter(o); err != nil {
				return fmt.Errorf("keyspace: count scores: %w", err)
			}
			there = k.it.First()
		}
		if there {
			k.n++
			continue
		}
		if err := k.close(k.it.Err()); err != nil {
			return err
		}
		k.ranges = k.ranges[1:]
	}
	return nil
}

// close ends the iteration of a range, if one is under way.
func (k *counter) close(err error) error {
	it := k.it
	if k.it = nil; it == nil {
		return nil
	}
	return endIteration(it, err)
}
