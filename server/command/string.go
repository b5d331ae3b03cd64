package command

import (
	"dkv/engine/keyspace"
	"dkv/resp"
)

func get(c *Ctx) error {
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	c.bulkOrNull(&e)
	return nil
}

func getset(c *Ctx) error {
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	c.bulkOrNull(&e)
	c.Tx.SetString(&e, c.Args[2], 0, keyspace.FormAuto)
	c.notify(keyspace.ClassString, "set", c.Args[1])
	return nil
}

func getdel(c *Ctx) error {
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	exists := e.Exists()
	c.bulkOrNull(&e)
	if exists {
		c.Tx.Delete(&e)
		c.notifyDeleted(c.Args[1])
	}
	return nil
}

func mget(c *Ctx) error {
	c.Out.Array(len(c.Args) - 1)
	for _, key := range c.Args[1:] {
		if c.Out.Full() {
			break
		}
		e, err := c.Tx.Read(c.DB, key)
		if err != nil {
			return err
		}
		if e.Type != keyspace.TypeString {
			c.Out.Null()
			continue
		}
		c.Out.Bulk(e.Body)
	}
	c.Tx.Trim()
	return nil
}

func mset(c *Ctx) error {
	if len(c.Args)%2 == 0 {
		return resp.ErrWrongArity(c.Spec.Name)
	}
	if err := setPairs(c); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

func msetnx(c *Ctx) error {
	if len(c.Args)%2 == 0 {
		return resp.ErrWrongArity(c.Spec.Name)
	}
	for i := 1; i < len(c.Args); i += 2 {
		e, err := c.Tx.Find(c.DB, c.Args[i])
		if err != nil {
			return err
		}
		if e.Exists() {
			c.Out.Int(0)
			return nil
		}
	}
	if err := setPairs(c); err != nil {
		return err
	}
	c.Out.Int(1)
	return nil
}

func setPairs(c *Ctx) error {
	for i := 1; i < len(c.Args); i += 2 {
		e, err := c.Tx.Find(c.DB, c.Args[i])
		if err != nil {
			return err
		}
		c.Tx.SetString(&e, c.Args[i+1], 0, keyspace.FormAuto)
		c.notify(keyspace.ClassString, "set", c.Args[i])
	}
	return nil
}

func strlen(c *Ctx) error {
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Int(int64(len(e.Body)))
	c.Tx.Trim()
	return nil
}

func appendTo(c *Ctx) error {
	e, err := c.findString(c.Args[1])
	if err != nil {
		return err
	}
	if !e.Exists() {
		c.Tx.SetString(&e, c.Args[2], 0, keyspace.FormAuto)
		c.notify(keyspace.ClassString, "append", c.Args[1])
		c.Out.Int(int64(len(c.Args[2])))
		return nil
	}
	if int64(len(e.Body))+int64(len(c.Args[2])) > c.maxStringLen() {
		return resp.ErrStringTooLong
	}
	value := append(e.Body, c.Args[2]...)
	c.Tx.SetString(&e, value, e.ExpireAt, keyspace.FormRaw)
	c.notify(keyspace.ClassString, "append", c.Args[1])
	c.Out.Int(int64(len(value)))
	return nil
}

func getrange(c *Ctx) error {
	start, err := c.integerArg(2)
	if err != nil {
		return err
	}
	end, err := c.integerArg(3)
	if err != nil {
		return err
	}
	e, err := c.readString(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Bulk(part(e.Body, start, end))
	c.Tx.Trim()
	return nil
}

func substr(c *Ctx) error { return getrange(c) }

// part returns s from start to end, both inclusive, and counted from the end of s
// when negative; what lies outside of s is left out.
func part(s []byte, start, end int64) []byte {
	if start < 0 && end < 0 && start > end {
		return nil
	}
	n := int64(len(s))
	if start < 0 {
		start = max(n+start, 0)
	}
	if end < 0 {
		end = max(n+end, 0)
	}
	end = min(end, n-1)
	if start > end {
		return nil
	}
	return s[start : end+1]
}

func setrange(c *Ctx) error {
	offset, err := c.integerArg(2)
	if err != nil {
		return err
	}
	if offset < 0 {
		return resp.ErrOffsetOutOfRange
	}
	e, err := c.findString(c.Args[1])
	if err != nil {
		return err
	}
	data := c.Args[3]
	if len(data) == 0 {
		c.Out.Int(int64(len(e.Body)))
		return nil
	}
	if most := c.maxStringLen(); offset > most || offset+int64(len(data)) > most {
		return resp.ErrStringTooLong
	}
	value := e.Body
	if end := int(offset) + len(data); end > len(value) {
		value = append(value, make([]byte, end-len(value))...)
	}
	copy(value[offset:], data)
	c.Tx.SetString(&e, value, e.ExpireAt, keyspace.FormRaw)
	c.notify(keyspace.ClassString, "setrange", c.Args[1])
	c.Out.Int(int64(len(value)))
	return nil
}
