package transport

import (
	"encoding/binary"
	"fmt"

	"dkv/cluster/consensus"
)

// Refusal is why a handshake is refused.
type Refusal uint8

// The reasons, in the order in which they are looked for.
const (
	Accepted           Refusal = iota
	RefusedMalformed           // the first frame is no hello
	RefusedVersion             // speaks another protocol version
	RefusedNotReady            // the listener has no identity yet
	RefusedCluster             // of another cluster
	RefusedNotMe               // meant for another node, or for an earlier incarnation of this one
	RefusedRemoved             // was removed from the cluster
	RefusedUnknown             // is no member that the listener knows of
	RefusedIncarnation         // claims the id of a member that is another node
	refusals
)

func (r Refusal) String() string {
	switch r {
	case Accepted:
		return "accepted"
	case RefusedMalformed:
		return "malformed handshake"
	case RefusedVersion:
		return "other protocol version"
	case RefusedNotReady:
		return "no identity yet"
	case RefusedCluster:
		return "other cluster"
	case RefusedNotMe:
		return "meant for another node"
	case RefusedRemoved:
		return "removed from the cluster"
	case RefusedUnknown:
		return "not a member"
	case RefusedIncarnation:
		return "wrong incarnation"
	}
	return fmt.Sprintf("refusal %d", uint8(r))
}

// hello is the first record of each stream, from the dialer.
//
//	version uvarint | cluster id | from uvarint | incarnation | to uvarint | incarnation of to
//
// Strings have their length before them, as a uvarint. What follows the version
// is of that version.
type hello struct {
	version       uint64
	cluster       string
	from          consensus.NodeID
	incarnation   string
	to            consensus.NodeID
	toIncarnation string // empty: any
}

func (h *hello) record() record {
	b := binary.AppendUvarint(nil, h.version)
	b = appendText(b, h.cluster)
	b = binary.AppendUvarint(b, uint64(h.from))
	b = appendText(b, h.incarnation)
	b = binary.AppendUvarint(b, uint64(h.to))
	b = appendText(b, h.toIncarnation)
	return record{kind: kindHello, body: b}
}

// maxHelloBytes bounds what a stranger gets into the log.
const maxHelloBytes = 1 << 10

// parseHello reads a hello; of another version, it reads the version only.
func parseHello(b []byte) (hello, error) {
	if len(b) > maxHelloBytes {
		return hello{}, fmt.Errorf("%w: a hello of %d bytes", ErrFormat, len(b))
	}
	p := parser{rest: b}
	h := hello{version: p.uvarint()}
	if h.version != ProtocolVersion {
		return h, p.err
	}
	h.cluster = p.text()
	h.from = consensus.NodeID(p.uvarint())
	h.incarnation = p.text()
	h.to = consensus.NodeID(p.uvarint())
	h.toIncarnation = p.text()
	return h, p.err
}

// welcome answers a hello. The record's code is the Refusal; a refusal ends the
// stream. The body:
//
//	version uvarint | cluster id
//
// The cluster id is empty unless the dialer has shown that it knows it.
type welcome struct {
	refusal Refusal
	version uint64
	cluster string
}

func (w *welcome) record() record {
	b := binary.AppendUvarint(nil, w.version)
	b = appendText(b, w.cluster)
	return record{kind: kindWelcome, code: uint8(w.refusal), body: b}
}

func parseWelcome(r record) (welcome, error) {
	p := parser{rest: r.body}
	w := welcome{refusal: Refusal(r.code), version: p.uvarint()}
	w.cluster = p.text()
	return w, p.err
}

// checkLocked decides on a hello, and finds the peer that it is from.
func (t *Transport) checkLocked(h hello) (*peer, Refusal) {
	self := t.identity.Load()
	p := t.peer(h.from)
	_, removed := t.mu.removed[h.from]
	switch {
	case h.version != ProtocolVersion:
		return nil, RefusedVersion
	case self == nil:
		return nil, RefusedNotReady
	case h.cluster != self.ClusterID:
		return nil, RefusedCluster
	case h.to != self.Node, h.toIncarnation != "" && h.toIncarnation != self.Incarnation:
		return nil, RefusedNotMe
	case removed:
		return nil, RefusedRemoved
	case p == nil:
		return nil, RefusedUnknown
	case p.Incarnation != "" && h.incarnation != p.Incarnation:
		return nil, RefusedIncarnation
	}
	return p, Accepted
}

// logLimit bounds what is remembered of refusals that were logged: ids come
// from the network.
const logLimit = 1024

type refusalKey struct {
	peer   consensus.NodeID
	reason Refusal
	mine   bool // this node refused
}

// refused counts and logs a handshake that this node refused.
func (t *Transport) refused(h hello, from string, reason Refusal) {
	t.mu.Lock()
	t.mu.refused[reason]++
	t.mu.Unlock()
	if reason == RefusedUnknown {
		t.o.Handler.Unknown(h.from)
	}
	// A node without an identity is one that is about to get it.
	if reason != RefusedNotReady && t.firstTime(refusalKey{h.from, reason, true}) {
		t.o.Logger.Warn("refused a node's connection", "reason", reason.String(), "node", uint64(h.from),
			"from", from, "cluster", h.cluster, "incarnation", h.incarnation, "version", h.version)
	}
}

// firstTime says whether a refusal is to be logged: once per node and reason.
func (t *Transport) firstTime(k refusalKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.mu.logged[k]; ok || len(t.mu.logged) >= logLimit {
		return false
	}
	t.mu.logged[k] = struct{}{}
	return true
}
