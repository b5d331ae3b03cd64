package hot

import (
	"fmt"
	"time"

	"dkv/engine"
	"dkv/engine/layer"
)

// giver returns what gives a frozen generation to the engine, as often as it is
// called, and the number of bytes that it gave last.
func (l *Layer) giver(g *generation, order []ref) (give func() error, bytes *int) {
	bytes = new(int)
	if l.loader != nil {
		return func() error {
			c := changes{l: l, g: g, order: order, began: time.Now()}
			c.ranges = g.ranges.Merged()
			var ranges []engine.KeyRange
			for _, r := range c.ranges {
				ranges = append(ranges, engine.KeyRange{Start: r.Start, End: r.End})
			}
			err := l.loader.Load(ranges, c.next)
			*bytes = c.bytes
			return err
		}, bytes
	}
	var batch engine.Batch
	l.fill(&batch, g, order)
	*bytes = batch.Len()
	return func() error { return l.below.Apply(batch.Repr()) }, bytes
}

// fill makes the batch that leads from the state before g to the one after it: the
// ranges, then the last that each key was set to.
func (l *Layer) fill(batch *engine.Batch, g *generation, order []ref) {
	c := changes{l: l, g: g, order: order, ranges: g.ranges.Merged(), began: time.Now()}
	for _, r := range c.ranges {
		batch.DeleteRange(r.Start, r.End)
	}
	for {
		kind, key, value, ok := c.next()
		if !ok {
			break
		}
		if kind == engine.KindPut {
			batch.Put(key, value)
		} else {
			batch.Delete(key)
		}
	}
	if err := batch.Err(); err != nil {
		panic(fmt.Sprintf("hot: invariant: a generation is larger than a batch: %v", err))
	}
}

// changes goes over what a frozen generation did after its ranges: the last that
// each key was set to, in the order of the keys.
type changes struct {
	l      *Layer
	g      *generation
	order  []ref
	ranges []layer.Range // those that may have keys of order
	at     int
	bytes  int
	began  time.Time // when the last pause ended
}

// next returns the next change. Keys in a range that are deleted need not be said.
func (c *changes) next() (kind engine.Kind, key, value []byte, ok bool) {
	for c.at < len(c.order) {
		if c.at%paceRecords == paceRecords-1 {
			c.l.pace(c.began)
			c.began = time.Now()
		}
		// Frozen: nothing of it changes any more, so no lock.
		rec := c.g.record(c.order[c.at])
		key, v := rec.key(), c.g.version(rec.newest())
		c.at++
		for len(c.ranges) > 0 && string(c.ranges[0].End) <= string(key) {
			c.ranges = c.ranges[1:]
		}
		switch {
		case !c.g.gone(key, v, maxSeq):
			c.bytes += len(key) + v.valueLen()
			return engine.KindPut, key, v.value(), true
		case len(c.ranges) == 0 || string(key) < string(c.ranges[0].Start):
			c.bytes += len(key)
			return engine.KindDelete, key, nil, true
		}
	}
	return 0, nil, nil, false
}
