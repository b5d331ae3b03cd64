package command

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"slices"

	"dkv/engine/keyspace"
)

// How sets and sorted sets are combined. The elements of large collections stand in one
// order, so these are merged: to look each element of one up in the others takes several
// times as long, and the time of STORE's is that of all who write.

const (
	// mergeRatio is how many times as many elements a collection may have as those that
	// are looked for in it, to be walked along with them. In a larger one each is looked up.
	mergeRatio = 4
	// maxWalks is how many collections are merged.
	maxWalks = 16
)

// probe looks elements up in a collection, one after the other.
type probe struct {
	of    *keyspace.Collection
	walk  *keyspace.Walk // nil: by themselves
	value []byte
}

// probes are probes into several collections for what one collection has.
type probes struct {
	list  []probe
	place []byte // of the element that is looked for
	walks bool
}

// open readies a probe for what from has; values says that find's value will be used.
func (p *probes) open(col, from *keyspace.Collection, values bool) error {
	one := probe{of: col}
	if !from.Inline() && col.Len()/mergeRatio <= from.Len() && len(p.list) < maxWalks {
		w, ok, err := col.Walk(values)
		if err != nil {
			return err
		}
		if ok {
			one.walk, p.walks = w, true
		}
	}
	p.list = append(p.list, one)
	return nil
}

// begin is called for each element, in their order, before it is looked for.
func (p *probes) begin(element []byte) {
	if p.walks {
		p.place = keyspace.AppendPlace(p.place[:0], element)
	}
}

// find looks the element up in collection i.
func (p *probes) find(i int, element []byte) (value []byte, found bool, err error) {
	one := &p.list[i]
	if one.walk == nil {
		one.value, found, err = one.of.Get(one.value[:0], element)
		return one.value, found, err
	}
	if !one.walk.Seek(p.place) {
		return nil, false, nil // or a failure, which close returns
	}
	value, err = one.walk.Value()
	return value, true, err
}

func (p *probes) close(err error) error {
	for i := range p.list {
		err = closeWalk(p.list[i].walk, err)
	}
	return err
}

// closeWalk closes a walk, if there is one, and returns err with what that comes to.
func closeWalk(w *keyspace.Walk, err error) error {
	if w == nil {
		return err
	}
	if failed := w.Close(); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// intersect goes over the smallest set and looks each member up in the others.
func intersect(_ *Ctx, sets []keyspace.Collection, emit func([]byte) bool) error {
	slices.SortStableFunc(sets, func(a, b keyspace.Collection) int { return cmp.Compare(a.Len(), b.Len()) })
	return filter(&sets[0], sets[1:], true, emit)
}

// subtract goes over the first set and looks each member up in the others.
func subtract(_ *Ctx, sets []keyspace.Collection, emit func([]byte) bool) error {
	return filter(&sets[0], sets[1:], false, emit)
}

// filter emits the members of a set which all, or none, of the others have.
func filter(s *keyspace.Collection, others []keyspace.Collection, inAll bool, emit func([]byte) bool) error {
	var p probes
	for i := range others {
		if err := p.open(&others[i], s, false); err != nil {
			return p.close(err)
		}
	}
	var failed error
	err := s.Each(func(member, _ []byte) bool {
		p.begin(member)
		for i := range others {
			_, found, err := p.find(i, member)
			if failed = err; err != nil {
				return false
			}
			if found != inAll {
				return true
			}
		}
		return emit(member)
	})
	return p.close(errors.Join(err, failed))
}

// unite emits the members of all sets.
func (c *Ctx) unite(sets []keyspace.Collection, emit func([]byte) bool) error {
	lines, err := openLines(sets, false)
	if err != nil {
		return err
	}
	if lines != nil {
		return lines.merge(func(place []byte) (bool, error) {
			return emit(keyspace.ElementAt(place)), nil
		})
	}
	seen := make(map[string]struct{})
	kept := c.keeps()
	for i := range sets {
		more, failed := true, error(nil)
		err := sets[i].Each(func(member, _ []byte) bool {
			if len(sets) > 1 {
				if _, again := seen[string(member)]; again {
					return true
				}
				seen[string(member)] = struct{}{}
				if failed = kept.take(len(member)); failed != nil {
					return false
				}
			}
			more = emit(member)
			return more
		})
		if err = errors.Join(err, failed); err != nil || !more {
			return err
		}
	}
	return nil
}

// line is a collection's elements in the order of all collections: a walk, or those of
// an inline one.
type line struct {
	walk  *keyspace.Walk
	items []placed
}

type placed struct{ place, value []byte }

func (l *line) valid() bool {
	if l.walk != nil {
		return l.walk.Valid()
	}
	return len(l.items) > 0
}

func (l *line) place() []byte {
	if l.walk != nil {
		return l.walk.Place()
	}
	return l.items[0].place
}

func (l *line) value() ([]byte, error) {
	if l.walk != nil {
		return l.walk.Value()
	}
	return l.items[0].value, nil
}

func (l *line) next() {
	if l.walk != nil {
		l.walk.Next()
	} else {
		l.items = l.items[1:]
	}
}

// lines are several collections that are merged.
type lines struct {
	list []line
	at   []int // those that stand at the place that merge has come to, in their order
}

// openLines opens collections for a merge; nil, when they are better not merged: they are
// all small, and stay in the order that they have, or too many.
func openLines(cols []keyspace.Collection, values bool) (*lines, error) {
	if len(cols) < 2 || len(cols) > maxWalks || !slices.ContainsFunc(cols, func(c keyspace.Collection) bool { return !c.Inline() }) {
		return nil, nil
	}
	ls := new(lines)
	for i := range cols {
		var l line
		var err error
		switch ok := false; {
		case cols[i].Inline():
			l.items, err = itemsOf(&cols[i])
		default:
			if l.walk, ok, err = cols[i].Walk(values); err == nil && !ok {
				return nil, ls.close(nil)
			}
		}
		if err != nil {
			return nil, ls.close(err)
		}
		ls.list = append(ls.list, l)
	}
	return ls, nil
}

func itemsOf(col *keyspace.Collection) (items []placed, err error) {
	err = col.Each(func(element, value []byte) bool {
		items = append(items, placed{keyspace.AppendPlace(nil, element), bytes.Clone(value)})
		return true
	})
	slices.SortFunc(items, func(a, b placed) int { return bytes.Compare(a.place, b.place) })
	return items, err
}

// merge calls emit for each place where an element of some collection stands, until that
// returns false, and closes the lines. ls.at tells whose.
func (ls *lines) merge(emit func(place []byte) (goOn bool, err error)) error {
	for {
		ls.at = ls.at[:0]
		var first []byte
		for i := range ls.list {
			l := &ls.list[i]
			if !l.valid() {
				continue
			}
			place := l.place()
			order := -1
			if len(ls.at) > 0 {
				order = bytes.Compare(place, first)
			}
			if order < 0 {
				first, ls.at = place, ls.at[:0]
			}
			if order <= 0 {
				ls.at = append(ls.at, i)
			}
		}
		if len(ls.at) == 0 {
			return ls.close(nil)
		}
		if goOn, err := emit(first); err != nil || !goOn {
			return ls.close(err)
		}
		for _, i := range ls.at {
			ls.list[i].next()
		}
	}
}

func (ls *lines) close(err error) error {
	for i := range ls.list {
		err = closeWalk(ls.list[i].walk, err)
	}
	return err
}

// bySize sorts sources, since the order in which scores are added shows in rounding.
func (o *combination) bySize() {
	slices.SortStableFunc(o.sources, func(a, b source) int { return cmp.Compare(a.Len(), b.Len()) })
}

// probe opens probes into all sources but the first, for what that has.
func (o *combination) probe(values bool) (*probes, error) {
	p := new(probes)
	for i := 1; i < len(o.sources); i++ {
		if err := p.open(&o.sources[i].Collection, &o.sources[0].Collection, values); err != nil {
			return nil, p.close(err)
		}
	}
	return p, nil
}

// zintersect goes over the smallest set and looks each member up in the others.
func zintersect(_ *Ctx, o *combination, emit func([]byte, float64) error) error {
	o.bySize()
	p, err := o.probe(true)
	if err != nil {
		return err
	}
	return p.close(o.sources[0].each(func(member []byte, score float64) error {
		p.begin(member)
		for i := 1; i < len(o.sources); i++ {
			value, found, err := p.find(i-1, member)
			if err != nil || !found {
				return err
			}
			other, err := o.sources[i].weighted(value)
			if err != nil {
				return err
			}
			score = o.aggregate.of(score, other)
		}
		return emit(member, score)
	}))
}

// zunite emits the members of all sets.
func zunite(c *Ctx, o *combination, emit func([]byte, float64) error) error {
	o.bySize()
	cols := make([]keyspace.Collection, len(o.sources))
	for i := range cols {
		cols[i] = o.sources[i].Collection
	}
	ls, err := openLines(cols, true)
	if err != nil {
		return err
	}
	if ls == nil {
		return o.uniteByName(c, emit)
	}
	return ls.merge(func(place []byte) (bool, error) {
		var score float64
		for n, i := range ls.at {
			value, err := ls.list[i].value()
			if err != nil {
				return false, err
			}
			s, err := o.sources[i].weighted(value)
			if err != nil {
				return false, err
			}
			if math.IsNaN(s) {
				s = 0 // inf times 0
			}
			if n == 0 {
				score = s
			} else {
				score = o.aggregate.of(score, s)
			}
		}
		return true, emit(keyspace.ElementAt(place), score)
	})
}

// uniteByName keeps the members of all sets, with their scores so far.
func (o *combination) uniteByName(c *Ctx, emit func([]byte, float64) error) error {
	scores := make(map[string]float64)
	kept := c.keeps()
	for i := range o.sources {
		err := o.sources[i].each(func(member []byte, score float64) error {
			old, found := scores[string(member)]
			if found {
				score = o.aggregate.of(old, score)
			}
			scores[string(member)] = score
			if found {
				return nil
			}
			return kept.take(len(member))
		})
		if err != nil {
			return err
		}
	}
	for member, score := range scores {
		if err := emit([]byte(member), score); err != nil {
			return err
		}
	}
	return nil
}

// zsubtract goes over the first set and looks each member up in the others.
func zsubtract(_ *Ctx, o *combination, emit func([]byte, float64) error) error {
	p, err := o.probe(false)
	if err != nil {
		return err
	}
	return p.close(o.sources[0].each(func(member []byte, score float64) error {
		p.begin(member)
		for i := 1; i < len(o.sources); i++ {
			_, found, err := p.find(i-1, member)
			if err != nil || found {
				return err
			}
		}
		return emit(member, score)
	}))
}
