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

// classes are those of the events of collections.
var classes = map[keyspace.Type]keyspace.Class{
	keyspace.TypeHash: keyspace.ClassHash,
	keyspace.TypeList: keyspace.ClassList,
	keyspace.TypeSet:  keyspace.ClassSet,
	keyspace.TypeZSet: keyspace.ClassZSet,
}

// notifyRemoved is for a command that has removed n elements of a collection of type t,
// which is gone when none is left.
func (c *Ctx) notifyRemoved(t keyspace.Type, event string, col *keyspace.Collection, n int64) {
	if n == 0 {
		return
	}
	c.notify(classes[t], event, col.Key())
	if col.Len() == 0 {
		c.notifyDeleted(col.Key())
	}
}

// notifyPushed is for a command that has added to an end of the list that a key holds.
func (c *Ctx) notifyPushed(key []byte, front bool) {
	event := "rpush"
	if front {
		event = "lpush"
	}
	c.notify(keyspace.ClassList, event, key)
}

// notifyPopped is for a command that has taken n elements from an end of a list.
func (c *Ctx) notifyPopped(l *keyspace.List, front bool, n int64) {
	event := "rpop"
	if front {
		event = "lpop"
	}
	c.notifyRemoved(keyspace.TypeList, event, &l.Collection, n)
}

// notifyStored is for a command that has put a result of n elements, a collection of
// type t, in the place of a key (see replace), or removed what was there when there are
// none. The event has the command's name; that of the older commands of geo says what
// they did.
func (c *Ctx) notifyStored(t keyspace.Type, col *keyspace.Collection, n int) {
	switch {
	case n > 0:
		event := c.Spec.Name
		if event == "georadius" || event == "georadiusbymember" {
			event = "georadiusstore"
		}
		c.notify(classes[t], event, col.Key())
	case col.Replaced():
		c.notifyDeleted(col.Key())
	}
}
