package server

import (
	"bytes"
	"encoding/binary"
	"slices"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// writerName names who makes a change, among the connections of all nodes: ticket's
// process, the connection's id, and how often it had registered a key before the run of
// commands that the change belongs to.
type writerName [24]byte

// writerName returns what this connection's changes are noted with: only those of a
// client that does not want to be told of them.
func (c *Conn) writerName() (w writerName) {
	if c.tracking != nil && c.tracking.noLoop {
		copy(w[:], c.srv.tickets.process[:])
		binary.BigEndian.PutUint64(w[8:], c.id)
		binary.BigEndian.PutUint64(w[16:], c.registeredBefore)
	}
	return w
}

// changedKey is a key that a batch changes, with the one connection that has done so;
// 0: others, or several.
type changedKey struct {
	name []byte
	by   uint64
	seq  uint64 // the latest of the writerNames
}

// changeSet collects what a batch changes.
type changeSet struct {
	process []byte // of this node's writers
	keys    [][]byte
	owned   []changedKey // what connections of this node have noted as theirs
	all     bool
}

func (s *changeSet) Key(key []byte) { s.keys = append(s.keys, key) }

func (s *changeSet) All() { s.all = true }

func (s *changeSet) Owned(writer, key []byte) {
	if len(writer) == len(writerName{}) && bytes.HasPrefix(writer, s.process) {
		s.owned = append(s.owned, changedKey{key, binary.BigEndian.Uint64(writer[8:]), binary.BigEndian.Uint64(writer[16:])})
	}
}

// changed returns each key once, in the order of the first change.
func (s *changeSet) changed() []changedKey {
	type tally struct {
		at, changes, own int
		by, seq          uint64
	}
	tallies := make(map[string]*tally, len(s.keys))
	list := make([]changedKey, 0, len(s.keys))
	for _, k := range s.keys {
		c := tallies[string(k)]
		if c == nil {
			c = &tally{at: len(list)}
			tallies[string(k)] = c
			list = append(list, changedKey{name: k})
		}
		c.changes++
	}
	for _, o := range s.owned {
		c := tallies[string(o.name)]
		if c == nil || c.by != 0 && c.by != o.by {
			continue // several: then none has all
		}
		c.by, c.seq = o.by, max(c.seq, o.seq)
		if c.own++; c.own == c.changes {
			list[c.at].by, list[c.at].seq = c.by, c.seq
		}
	}
	return list
}

// applied tells clients what a batch has changed. Readers on this node see the batch.
func (t *tracker) applied(batch []byte) {
	if t.active.Load() == 0 {
		return
	}
	s := changeSet{process: t.srv.tickets.process[:]}
	if err := keyspace.EachChange(batch, &s); err != nil {
		t.srv.log.Error("cannot tell what a batch has changed", "err", err)
		s.all = true
	}
	switch {
	case s.all:
		t.replaced()
	case len(s.keys) > 0:
		endSlow(t.tell(s.changed()))
	}
}

// replaced tells all clients that any key may have changed.
func (t *tracker) replaced() {
	if t.active.Load() == 0 {
		return
	}
	var slow []*Conn
	t.mu.Lock()
	t.mu.keys = make(map[string]*trackedKey)
	t.mu.items = 0
	m := &invalidated{all: true}
	for _, tr := range t.mu.clients {
		clear(tr.items)
		slow = t.sendLocked(tr, m, slow)
	}
	t.mu.Unlock()
	endSlow(slow)
}

// tell invalidates keys.
func (t *tracker) tell(changed []changedKey) (slow []*Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range changed {
		k := t.mu.keys[string(c.name)]
		if k == nil {
			continue
		}
		if c.by != 0 {
			slow = t.tellOthersLocked(k, c, slow)
			continue
		}
		m := &invalidated{keys: []string{k.name}}
		for _, tr := range t.takeLocked(k) {
			slow = t.sendLocked(tr, m, slow)
		}
	}
	return t.broadcastLocked(changed, slow)
}

// tellOthersLocked invalidates a key for all but the client that alone has changed it, if
// that does not want to know. Its registration ends too, as in Redis; but not one that is
// younger than the change: what the client reads in the pipeline behind it, or before
// the change of a forwarded request has come to this node, it may keep.
func (t *tracker) tellOthersLocked(k *trackedKey, c changedKey, slow []*Conn) []*Conn {
	m := &invalidated{keys: []string{k.name}}
	for i := len(k.clients) - 1; i >= 0; i-- {
		tr := k.clients[i]
		own := tr.has(c)
		if own && tr.items[k].seq > c.seq {
			continue
		}
		t.unregisterLocked(tr, k)
		if !own {
			slow = t.sendLocked(tr, m, slow)
		}
	}
	return slow
}

// has says whether a change is the client's own, of which it does not want to know.
func (tr *tracking) has(c changedKey) bool { return tr.noLoop && c.by == tr.conn.id }

// broadcastLocked sends what is in BCAST mode: one message for each prefix.
func (t *tracker) broadcastLocked(changed []changedKey, slow []*Conn) []*Conn {
	if len(t.mu.prefixes) == 0 {
		return slow
	}
	var hit []*broadcast
	for _, c := range changed {
		for _, n := range t.mu.lengths {
			if n > len(c.name) {
				break
			}
			b := t.mu.prefixes[string(c.name[:n])]
			if b == nil {
				continue
			}
			if len(b.changed) == 0 {
				hit = append(hit, b)
			}
			b.changed = append(b.changed, c)
		}
	}
	slices.SortFunc(hit, func(a, b *broadcast) int { return bytes.Compare([]byte(a.prefix), []byte(b.prefix)) })
	for _, b := range hit {
		slices.SortFunc(b.changed, func(a, b changedKey) int { return bytes.Compare(a.name, b.name) })
		all := b.message(nil)
		for tr := range b.clients {
			m := all
			if tr.noLoop {
				m = b.message(tr)
			}
			if len(m.keys) > 0 {
				slow = t.sendLocked(tr, m, slow)
			}
		}
		b.changed = nil
	}
	return slow
}

// message is what a client is told of the changes of a prefix; nil: of all of them.
func (b *broadcast) message(tr *tracking) *invalidated {
	m := &invalidated{keys: make([]string, 0, len(b.changed))}
	for _, c := range b.changed {
		if tr == nil || !tr.has(c) {
			m.keys = append(m.keys, string(c.name))
		}
	}
	return m
}

// invalidated is what one message tells: keys, or that all are.
type invalidated struct {
	keys []string
	all  bool
	// encoded are the forms that it has, once somebody needs them.
	encoded [2][]byte
}

// The forms of a message: as the client's own, or one that it is redirected to.
const (
	formPush    = iota // RESP3: >2 "invalidate" keys
	formMessage        // a subscriber of RESP2: *3 "message" channel keys
)

// invalidationChannel is where clients of RESP2 are told.
const invalidationChannel = "__redis__:invalidate"

// form returns a form of the message, which is not changed afterwards.
func (m *invalidated) form(f int) []byte {
	if m.encoded[f] != nil {
		return m.encoded[f]
	}
	w := resp.Writer{Proto: 3}
	if f == formMessage {
		w.Proto = 2
		w.Push(3)
		w.BulkString("message")
		w.BulkString(invalidationChannel)
	} else {
		w.Push(2)
		w.BulkString("invalidate")
	}
	if m.all {
		w.Null()
	} else {
		w.Array(len(m.keys))
		for _, k := range m.keys {
			w.BulkString(k)
		}
	}
	m.encoded[f] = w.Buf
	return w.Buf
}

// invalidate sends a message to one client.
func (t *tracker) invalidate(tr *tracking, m invalidated) {
	t.mu.Lock()
	slow := t.sendLocked(tr, &m, nil)
	t.mu.Unlock()
	endSlow(slow)
}

// sendLocked sends a message to a client, or to where it has it redirected to. It adds to
// slow whom the caller must end when it does not hold the lock any more.
func (t *tracker) sendLocked(tr *tracking, m *invalidated, slow []*Conn) []*Conn {
	if tr.off {
		return slow
	}
	tr.told.Add(1)
	to := tr.conn
	if tr.redirect != 0 {
		if to = t.srv.clients.get(tr.redirect); to == nil {
			return t.brokenLocked(tr, slow)
		}
	}
	switch {
	case to.shared.proto.Load() > 2:
		return sendTo(to, m.form(formPush), slow)
	case tr.redirect != 0 && to.shared.flags.Load()&flagPubSub != 0:
		return sendTo(to, m.form(formMessage), slow)
	}
	return slow // RESP2 has no place for it
}

// sendTo sends bytes to a client. What a client may owe us without a limit of its own has
// this one.
func sendTo(c *Conn, b []byte, slow []*Conn) []*Conn {
	if c.outbox.owes() > maxPendingOutput || c.push(b) {
		return append(slow, c)
	}
	return slow
}

// brokenLocked tells a client that the one it redirects to has gone.
func (t *tracker) brokenLocked(tr *tracking, slow []*Conn) []*Conn {
	c := tr.conn
	c.setFlag(flagTrackingBroken, true)
	if c.shared.proto.Load() < 3 {
		return slow
	}
	w := resp.Writer{Proto: 3}
	w.Push(2)
	w.BulkString("tracking-redir-broken")
	w.Int(int64(tr.redirect))
	return sendTo(c, w.Buf, slow)
}
