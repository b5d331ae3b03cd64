package command

import (
	"bytes"
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

func del(c *Ctx) error {
	deleted := 0
	for _, key := range c.Args[1:] {
		e, err := c.Tx.Find(c.DB, key)
		if err != nil {
			return err
		}
		there := e.Exists()
		c.Tx.Delete(&e)
		if there {
			deleted++
			c.notifyDeleted(key)
		}
	}
	c.Out.Int(int64(deleted))
	c.Tx.Trim()
	return nil
}

func unlink(c *Ctx) error { return del(c) }

func exists(c *Ctx) error { return c.count(c.Tx.Peek) }
func touch(c *Ctx) error  { return c.count(c.Tx.Read) }

// count replies how many of the keys exist; one that is named twice counts twice.
func (c *Ctx) count(lookup func(int, []byte) (keyspace.Entry, error)) error {
	n := 0
	for _, key := range c.Args[1:] {
		e, err := lookup(c.DB, key)
		if err != nil {
			return err
		}
		if e.Exists() {
			n++
		}
	}
	c.Out.Int(int64(n))
	c.Tx.Trim()
	return nil
}

func typeOf(c *Ctx) error {
	e, err := c.Tx.Peek(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Simple(e.Type.String())
	c.Tx.Trim()
	return nil
}

func rename(c *Ctx) error {
	renamed, err := c.rename(true)
	if err == nil && renamed {
		c.Out.OK()
	}
	return err
}

func renamenx(c *Ctx) error {
	renamed, err := c.rename(false)
	if err != nil {
		return err
	}
	// A key that is renamed to itself stands in its own way.
	if renamed && !bytes.Equal(c.Args[1], c.Args[2]) {
		c.Out.Int(1)
		return nil
	}
	c.Out.Int(0)
	return nil
}

// rename moves a key to another name, in place of what that held if replace says
// so.
func (c *Ctx) rename(replace bool) (renamed bool, err error) {
	src, err := c.Tx.Find(c.DB, c.Args[1])
	if err != nil {
		return false, err
	}
	if !src.Exists() {
		return false, resp.ErrNoSuchKey
	}
	if bytes.Equal(c.Args[1], c.Args[2]) {
		return true, nil
	}
	dst, err := c.Tx.FindTarget(c.DB, c.Args[2])
	if err != nil {
		return false, err
	}
	if dst.Exists() && !replace {
		return false, nil
	}
	if err := c.Tx.Move(&src, &dst); err != nil {
		return false, err
	}
	c.notify(keyspace.ClassGeneric, "rename_from", c.Args[1])
	c.notify(keyspace.ClassGeneric, "rename_to", c.Args[2])
	return true, nil
}

func copyKey(c *Ctx) error {
	db, replace := c.DB, false
	for i := 3; i < len(c.Args); i++ {
		switch {
		case isWord(c.Args[i], "REPLACE"):
			replace = true
		case isWord(c.Args[i], "DB") && i+1 < len(c.Args):
			i++
			var err error
			if db, err = c.databaseArg(i); err != nil {
				return err
			}
		default:
			return resp.ErrSyntax
		}
	}
	if db == c.DB && bytes.Equal(c.Args[1], c.Args[2]) {
		return resp.ErrSameObject
	}
	src, err := c.Tx.Read(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	if !src.Exists() {
		c.Out.Int(0)
		return nil
	}
	dst, err := c.Tx.FindTarget(db, c.Args[2])
	if err != nil {
		return err
	}
	if dst.Exists() && !replace {
		c.Out.Int(0)
		return nil
	}
	if err := c.Tx.Copy(&src, &dst); err != nil {
		return err
	}
	c.Tx.Note(keyspace.ClassGeneric, "copy_to", db, c.Args[2])
	c.Out.Int(1)
	return nil
}

func move(c *Ctx) error {
	db, err := c.databaseArg(2)
	if err != nil {
		return err
	}
	if db == c.DB {
		return resp.ErrSameObject
	}
	src, err := c.Tx.Find(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	if !src.Exists() {
		c.Out.Int(0)
		return nil
	}
	dst, err := c.Tx.FindTarget(db, c.Args[1])
	if err != nil {
		return err
	}
	if dst.Exists() {
		c.Out.Int(0)
		return nil
	}
	if err := c.Tx.Move(&src, &dst); err != nil {
		return err
	}
	c.notify(keyspace.ClassGeneric, "move_from", c.Args[1])
	c.Tx.Note(keyspace.ClassGeneric, "move_to", db, c.Args[1])
	c.Out.Int(1)
	return nil
}

// databaseArg parses an argument that is the number of a database.
func (c *Ctx) databaseArg(i int) (int, error) {
	n, err := c.intArg(i)
	if err != nil {
		return 0, err
	}
	if !validDB(n) {
		return 0, resp.ErrDBIndexOutOfRange
	}
	return int(n), nil
}

func validDB(n int64) bool { return n >= 0 && n < keyspace.Databases }

// intArg parses an argument that must be a 32-bit integer, as C's int is.
func (c *Ctx) intArg(i int) (int64, error) {
	n, err := c.integerArg(i)
	if err == nil && (n < math.MinInt32 || n > math.MaxInt32) {
		err = errNotIntRange
	}
	return n, err
}

const errNotIntRange resp.Error = "ERR value is out of range, value must between -2147483648 and 2147483647"
