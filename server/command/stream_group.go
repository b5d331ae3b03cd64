package command

import (
	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errEntriesRead resp.Error = "ERR value for ENTRIESREAD must be positive or -1"
	errXgroupKey   resp.Error = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically."
	errBusyGroup   resp.Error = "BUSYGROUP Consumer Group name already exists"
)

func errNoSuchGroup(group, key []byte) resp.Error {
	return resp.Error("NOGROUP No such consumer group '" + cString(group) + "' for key name '" + cString(key) + "'")
}

func errNoKeyOrGroup(key, group []byte) resp.Error {
	return resp.Error("NOGROUP No such key '" + cString(key) + "' or consumer group '" + cString(group) + "'")
}

// groupCall is what the subcommands of XGROUP have in common.
type groupCall struct {
	s           *keyspace.Stream
	g           *keyspace.Group // nil: there is none
	mkStream    bool
	entriesRead int64
}

// xgroupCall parses the options of an XGROUP subcommand and looks key and group up.
func (c *Ctx) xgroupCall(create, setID, needsGroup bool) (x groupCall, err error) {
	x.entriesRead = keyspace.UnknownRead
	for i := 5; i < len(c.Args); i++ {
		switch {
		case create && isWord(c.Args[i], "MKSTREAM"):
			x.mkStream = true
		case (create || setID) && isWord(c.Args[i], "ENTRIESREAD") && i+1 < len(c.Args):
			i++
			if x.entriesRead, err = c.integerArg(i); err != nil {
				return x, err
			}
			if x.entriesRead < 0 && x.entriesRead != keyspace.UnknownRead {
				return x, errEntriesRead
			}
		default:
			return x, c.subcommandSyntax()
		}
	}
	if x.s, err = c.findStream(c.Args[2]); err != nil {
		return x, err
	}
	if !x.s.Exists() && !x.mkStream {
		return x, errXgroupKey
	}
	if x.g, err = x.s.Group(c.Args[3]); err == nil && x.g == nil && needsGroup {
		err = errNoSuchGroup(c.Args[3], c.Args[2])
	}
	return x, err
}

func (c *Ctx) subcommandSyntax() error {
	return resp.ErrSubcommandSyntax(c.Args[1], string(c.Args[0]))
}

func xgroupCreate(c *Ctx) error {
	x, err := c.xgroupCall(true, false, false)
	if err != nil {
		return err
	}
	if len(c.Args) > 8 {
		return c.subcommandSyntax()
	}
	id := x.s.LastID
	if cString(c.Args[4]) != "$" {
		if id, err = c.strictID(4); err != nil {
			return err
		}
	}
	if x.g != nil {
		return errBusyGroup
	}
	g := x.s.CreateGroup(c.Args[3], id, x.entriesRead)
	x.s.Save()
	if err := g.Save(); err != nil {
		return err
	}
	c.notify(keyspace.ClassStream, "xgroup-create", c.Args[2])
	c.Out.OK()
	return nil
}

func xgroupSetid(c *Ctx) error {
	x, err := c.xgroupCall(false, true, true)
	if err != nil {
		return err
	}
	if len(c.Args) != 5 && len(c.Args) != 7 {
		return c.subcommandSyntax()
	}
	id := x.s.LastID
	if cString(c.Args[4]) != "$" {
		if id, _, err = parseStreamID(c.Args[4], 0, idEnds); err != nil {
			return err
		}
	}
	x.g.LastID, x.g.EntriesRead = id, x.entriesRead
	if err := x.g.Save(); err != nil {
		return err
	}
	c.notify(keyspace.ClassStream, "xgroup-setid", c.Args[2])
	c.Out.OK()
	return nil
}

func xgroupDestroy(c *Ctx) error {
	x, err := c.xgroupCall(false, false, false)
	if err != nil {
		return err
	}
	if x.g != nil {
		x.s.DropGroup(x.g)
		x.s.Save()
		c.notify(keyspace.ClassStream, "xgroup-destroy", c.Args[2])
	}
	c.Out.Int(boolInt(x.g != nil))
	return nil
}

func xgroupCreateconsumer(c *Ctx) error {
	x, err := c.xgroupCall(false, false, true)
	if err != nil {
		return err
	}
	there, err := x.g.Consumer(c.Args[4])
	if err != nil {
		return err
	}
	if there == nil {
		x.g.CreateConsumer(c.Args[4])
		if err := x.g.Save(); err != nil {
			return err
		}
		c.notify(keyspace.ClassStream, "xgroup-createconsumer", c.Args[2])
	}
	c.Out.Int(boolInt(there == nil))
	return nil
}

func xgroupDelconsumer(c *Ctx) error {
	x, err := c.xgroupCall(false, false, true)
	if err != nil {
		return err
	}
	consumer, err := x.g.Consumer(c.Args[4])
	if err != nil {
		return err
	}
	pending := int64(0)
	if consumer != nil {
		if pending, err = x.g.DropConsumer(consumer); err != nil {
			return err
		}
		if err := x.g.Save(); err != nil {
			return err
		}
		c.notify(keyspace.ClassStream, "xgroup-delconsumer", c.Args[2])
	}
	c.Out.Int(pending)
	return nil
}

func xgroupHelp(c *Ctx) error {
	c.help("XGROUP",
		"CREATE <key> <group> <id|$> [option]",
		"    Make a group of consumers. Options are:",
		"    * MKSTREAM",
		"      Make an empty stream if there is none.",
		"    * ENTRIESREAD entries_read",
		"      How many entries the group has read (internal use).",
		"CREATECONSUMER <key> <group> <consumer>",
		"    Make a consumer in a group.",
		"DELCONSUMER <key> <group> <consumer>",
		"    Remove a consumer and what is pending of it.",
		"DESTROY <key> <group>",
		"    Remove a group.",
		"SETID <key> <group> <id|$> [ENTRIESREAD entries_read]",
		"    Set up to which entry the group has read.")
	return nil
}

// xack is XACK key group id [id ...].
func xack(c *Ctx) error {
	s, err := c.findStream(c.Args[1])
	if err != nil {
		return err
	}
	g, err := s.Group(c.Args[2])
	if err != nil {
		return err
	}
	if g == nil {
		c.Out.Int(0)
		return nil
	}
	ids, err := c.strictIDs(3)
	if err != nil {
		return err
	}
	n := int64(0)
	for _, id := range ids {
		p, err := g.Look(id)
		if err != nil {
			return err
		}
		n += boolInt(p.Exists())
		if err := g.Release(&p); err != nil {
			return err
		}
	}
	if err := g.Save(); err != nil {
		return err
	}
	c.Out.Int(n)
	return nil
}
