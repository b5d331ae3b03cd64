package command

import (
	"bytes"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// cas sets a key to a new string if it holds the expected one, see dkvTable.
func cas(c *Ctx) error {
	expected, value := c.Args[2], c.Args[3]
	absent, expiryArg := false, 0
	for i := 4; i < len(c.Args); i++ {
		switch {
		case isWord(c.Args[i], "ABSENT"):
			absent = true
		case isWord(c.Args[i], "PX") && i+1 < len(c.Args):
			i++
			expiryArg = i
		default:
			return resp.ErrSyntax
		}
	}
	if absent && len(expected) != 0 {
		return resp.ErrSyntax
	}
	var expireAt int64
	if expiryArg != 0 {
		var err error
		if expireAt, err = c.expireAt(expiryPX, expiryArg); err != nil {
			return err
		}
	}
	e, err := c.findString(c.Args[1])
	if err != nil {
		return err
	}
	if e.Exists() == absent || !bytes.Equal(e.Body, expected) {
		c.Out.Int(0)
		c.Tx.Trim()
		return nil
	}
	if expiryArg == 0 {
		expireAt = e.ExpireAt
	}
	c.Tx.SetString(&e, value, expireAt, keyspace.FormAuto)
	c.notify(keyspace.ClassString, "set", c.Args[1])
	if expiryArg != 0 {
		c.notify(keyspace.ClassGeneric, "expire", c.Args[1])
	}
	c.Out.Int(1)
	return nil
}
