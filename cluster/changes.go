package cluster

// changeListener is told what changes on this node.
type changeListener struct {
	applied  func(batch []byte)
	replaced func()
}

// OnChanges gives the functions that are called where entries are applied: applied with
// each batch when reads here see it, and before who has written it is told, if that is a
// client of this node (see keyspace.EachChange); replaced when a whole state was
// received, and any key may have changed. Neither may block or keep anything.
func (n *Node) OnChanges(applied func(batch []byte), replaced func()) {
	n.changes.Store(&changeListener{applied, replaced})
}

func (n *Node) tellApplied(batch []byte) {
	if l := n.changes.Load(); l != nil {
		l.applied(batch)
	}
}

func (n *Node) tellReplaced() {
	if l := n.changes.Load(); l != nil {
		l.replaced()
	}
}
