package command

import "dkv/engine/keyspace"

// notify notes a keyspace event of a key in the command's database, for those who have
// asked for its class by notify-keyspace-events. A write calls it after it has changed
// the key, in the order in which Redis does and with Redis's name of the event. It
// costs next to nothing while nobody asks.
func (c *Ctx) notify(class keyspace.Class, event string, key []byte) {
	c.Tx.Note(class, event, c.DB, key)
}

// notifyDeleted is notify for a key that a command has removed, or emptied.
func (c *Ctx) notifyDeleted(key []byte) { c.notify(keyspace.ClassGeneric, "del", key) }

// notifyRemoved is for a command that has removed n elements of a collection, which is
// gone when none is left.
func (c *Ctx) notifyRemoved(class keyspace.Class, event string, col *keyspace.Collection, n int64, key []byte) {
	if n == 0 {
		return
	}
	c.notify(class, event, key)
	if col.Len() == 0 {
		c.notifyDeleted(key)
	}
}

// notifyStored is for a command that has put a result of n elements in the place of a
// key, or removed the key, if it was there, when there are none.
func (c *Ctx) notifyStored(class keyspace.Class, n int, was bool, key []byte) {
	switch {
	case n > 0:
		c.notify(class, c.Spec.Name, key)
	case was:
		c.notifyDeleted(key)
	}
}
