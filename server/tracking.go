package server

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// tracker remembers which clients may have copies of which keys' values, and tells them
// when those change (https://redis.io/docs/latest/develop/reference/client-side-caching).
// docs/adr/0021-client-tracking.md has the reasoning. In short:
//
//   - a key is registered before its value is looked at (Conn.track);
//   - what a batch changes is looked for when readers see the batch (tracker.applied), on
//     the node that the client is connected to;
//   - what is sent to a client that has commands under way leaves behind their replies
//     (Conn.hold).
//
// Key names are those of all databases together, as in Redis. Invalidations are made
// under the lock; nothing waits there.
type tracker struct {
	srv     *Server
	active  atomic.Int64 // clients that track
	maxKeys atomic.Int64 // 0: no limit
	mu      struct {
		sync.Mutex
		clients  map[*Conn]*tracking
		keys     map[string]*trackedKey
		items    int                   // clients of all keys together
		prefixes map[string]*broadcast // of clients in BCAST mode
		lengths  []int                 // of the prefixes, ascending, each once
	}
}

// tracking is what a connection has set up with CLIENT TRACKING. It is not changed but
// for what stands under tracker.mu.
type tracking struct {
	conn                         *Conn
	bcast, optIn, optOut, noLoop bool
	redirect                     uint64 // the client that is told; 0: this one

	// Under tracker.mu.
	prefixes []string // ascending; its connection reads them without the lock
	items    map[*trackedKey]item
	off      bool // it is being disabled

	told atomic.Uint64 // how often something was invalidated for it
}

// item is a client's registration of a key.
type item struct {
	at  int    // in trackedKey.clients
	seq uint64 // Conn.registered when it was made the last time
}

// trackedKey is a key that clients have read.
type trackedKey struct {
	name    string
	clients []*tracking // the place of each is in its items
}

// broadcast is a prefix with the clients that want to know of all its keys.
type broadcast struct {
	prefix  string
	clients map[*tracking]struct{}
	changed []changedKey // of the batch that is being told
}

func (t *tracker) init(s *Server) {
	t.srv = s
	t.mu.clients = make(map[*Conn]*tracking)
	t.mu.keys = make(map[string]*trackedKey)
	t.mu.prefixes = make(map[string]*broadcast)
	const limit = "tracking-table-max-keys"
	t.maxKeys.Store(s.config.Int(limit))
	s.config.OnChange(limit, func(v string) {
		n, _ := strconv.ParseInt(v, 10, 64) // was validated
		t.maxKeys.Store(n)
		t.shrink()
	})
	s.node.OnChanges(t.applied, t.replaced)
}

// enable begins tracking for a client, or replaces its options. What it had registered
// stays.
func (t *tracker) enable(tr *tracking, prefixes []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.mu.clients[tr.conn]; old != nil {
		tr.prefixes = old.prefixes
		tr.items, old.items = old.items, nil
		for k, it := range tr.items {
			k.clients[it.at] = tr
		}
		for _, p := range tr.prefixes {
			clients := t.mu.prefixes[p].clients
			delete(clients, old)
			clients[tr] = struct{}{}
		}
	}
	t.mu.clients[tr.conn] = tr
	if tr.bcast && len(prefixes) == 0 {
		prefixes = []string{""}
	}
	for _, p := range prefixes {
		t.addPrefixLocked(tr, p)
	}
	t.countLocked()
}

func (t *tracker) addPrefixLocked(tr *tracking, prefix string) {
	at, found := slices.BinarySearch(tr.prefixes, prefix)
	if found {
		return
	}
	tr.prefixes = slices.Insert(tr.prefixes, at, prefix)
	b := t.mu.prefixes[prefix]
	if b == nil {
		b = &broadcast{prefix: prefix, clients: make(map[*tracking]struct{})}
		t.mu.prefixes[prefix] = b
		t.measureLocked()
	}
	b.clients[tr] = struct{}{}
}

// measureLocked brings lengths up to date.
func (t *tracker) measureLocked() {
	seen := make(map[int]bool)
	t.mu.lengths = t.mu.lengths[:0]
	for p := range t.mu.prefixes {
		if !seen[len(p)] {
			seen[len(p)] = true
			t.mu.lengths = append(t.mu.lengths, len(p))
		}
	}
	slices.Sort(t.mu.lengths)
}

func (t *tracker) countLocked() {
	n := int64(len(t.mu.clients))
	t.active.Store(n)
	t.srv.node.Notifier().Track(n > 0)
}

// forgetAtOnce is how many keys of a client that has gone are forgotten while others
// wait.
const forgetAtOnce = 1024

// disable ends tracking for a client: when it returns, nothing is invalidated for it.
func (t *tracker) disable(tr *tracking) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tr.off = true
	for _, p := range tr.prefixes {
		b := t.mu.prefixes[p]
		if delete(b.clients, tr); len(b.clients) == 0 {
			delete(t.mu.prefixes, p)
			t.measureLocked()
		}
	}
	tr.prefixes = nil
	n := 0
	for k := range tr.items {
		if _, there := tr.items[k]; !there {
			continue // all were invalidated meanwhile
		}
		t.unregisterLocked(tr, k)
		if n++; n%forgetAtOnce == 0 {
			t.mu.Unlock()
			t.mu.Lock()
		}
	}
	delete(t.mu.clients, tr.conn)
	t.countLocked()
}

// register notes that a client is about to read a key; seq is how often it has.
func (t *tracker) register(tr *tracking, key []byte, seq uint64) {
	t.mu.Lock()
	slow := t.registerLocked(tr, key, seq)
	t.mu.Unlock()
	endSlow(slow)
}

func (t *tracker) registerLocked(tr *tracking, key []byte, seq uint64) (slow []*Conn) {
	k := t.mu.keys[string(key)]
	if k == nil {
		k = &trackedKey{name: string(key)}
		t.mu.keys[k.name] = k
	}
	it, there := tr.items[k]
	if !there {
		if tr.items == nil {
			tr.items = make(map[*trackedKey]item)
		}
		it.at = len(k.clients)
		k.clients = append(k.clients, tr)
		t.mu.items++
	}
	it.seq = seq
	tr.items[k] = it
	if limit := t.maxKeys.Load(); limit > 0 && int64(len(t.mu.keys)) > limit {
		return t.evictLocked(k, nil)
	}
	return nil
}

// unregisterLocked forgets that a client has read a key.
func (t *tracker) unregisterLocked(tr *tracking, k *trackedKey) {
	at := tr.items[k].at
	delete(tr.items, k)
	t.mu.items--
	last := k.clients[len(k.clients)-1]
	if last != tr {
		k.clients[at] = last
		last.items[k] = item{at, last.items[k].seq}
	}
	k.clients[len(k.clients)-1] = nil
	if k.clients = k.clients[:len(k.clients)-1]; len(k.clients) == 0 {
		delete(t.mu.keys, k.name)
	}
}

// takeLocked forgets a key and returns who had read it.
func (t *tracker) takeLocked(k *trackedKey) []*tracking {
	delete(t.mu.keys, k.name)
	for _, tr := range k.clients {
		delete(tr.items, k)
	}
	t.mu.items -= len(k.clients)
	return k.clients
}

// evictLocked invalidates some key other than keep, so that the table becomes smaller.
func (t *tracker) evictLocked(keep *trackedKey, slow []*Conn) []*Conn {
	for _, k := range t.mu.keys { // in random order
		if k == keep {
			continue
		}
		for _, tr := range t.takeLocked(k) {
			slow = t.sendLocked(tr, &invalidated{keys: []string{k.name}}, slow)
		}
		break
	}
	return slow
}

// shrink brings the table to its limit when that was made smaller.
func (t *tracker) shrink() {
	for more := true; more; {
		var slow []*Conn
		t.mu.Lock()
		limit := t.maxKeys.Load()
		for range forgetAtOnce {
			if more = limit > 0 && int64(len(t.mu.keys)) > limit; !more {
				// A map keeps its size, and looking for any key in a large one that
				// is nearly empty takes long.
				keys := make(map[string]*trackedKey, len(t.mu.keys))
				maps.Copy(keys, t.mu.keys)
				t.mu.keys = keys
				break
			}
			slow = t.evictLocked(nil, slow)
		}
		t.mu.Unlock()
		endSlow(slow)
	}
}

// counts are what INFO tells.
func (t *tracker) counts() (keys, items, prefixes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mu.keys), t.mu.items, len(t.mu.prefixes)
}

// endSlow ends clients that do not read what they are sent.
func endSlow(slow []*Conn) {
	for _, c := range slow {
		c.outputLimit()
	}
}
