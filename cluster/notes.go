package cluster

import "dkv/engine/keyspace"

// Notifier says which events of keys are noted in this node's batches.
func (n *Node) Notifier() *keyspace.Notifier { return &n.notifier }

// OnNotes gives the function that is called with the noted events of each batch that
// is applied here, whoever has evaluated it: see keyspace.EachNote. It is called where
// entries are applied, must not block and keeps nothing.
func (n *Node) OnNotes(f func(notes []byte)) { n.onNotes.Store(&f) }

func (n *Node) takeNotes(notes []byte) {
	if f := n.onNotes.Load(); f != nil {
		(*f)(notes)
	}
}
