package server

import (
	"dkv/resp"
	"dkv/server/acl"
	"dkv/server/command"
)

var _ command.Users = (*users)(nil)

// maxUserBytes bounds the records of all users together, which every node has in memory.
const maxUserBytes = 64 << 20

const errTooManyUsers resp.Error = "ERR The users exceed the limit of 64 MiB"

// Run implements command.Users: it does what ACL SETUSER and ACL DELUSER do to the records,
// on the writer of shard 0.
func (u *users) Run(c *command.Ctx) error {
	if c.Shard != 0 {
		return errForward
	}
	version, _, err := c.Tx.UserRecord(nil, usersVersion)
	if err != nil {
		return err
	}
	total := userBytes(version)
	deleted := int64(0)
	if c.Spec == specSetUser {
		name := userRecords + string(c.Args[2])
		old, there, err := c.Tx.UserRecord(nil, name)
		if err != nil {
			return err
		}
		record, err := u.changed(string(c.Args[2]), old, there, texts(c.Args[3:]))
		if err != nil {
			return err
		}
		if !there {
			total += int64(len(name))
		}
		if total += int64(len(record) - len(old)); total > maxUserBytes {
			return errTooManyUsers
		}
		c.Tx.PutUserRecord(name, record)
	} else {
		for _, arg := range c.Args[2:] {
			name := userRecords + string(arg)
			old, there, err := c.Tx.UserRecord(nil, name)
			if err != nil {
				return err
			}
			if there {
				total -= int64(len(name) + len(old))
				c.Tx.DeleteUserRecord(name)
				deleted++
			}
		}
		c.Out.Int(deleted)
		if deleted == 0 {
			return nil
		}
	}
	c.Tx.PutUserRecord(usersVersion, newUsersVersion(total))
	c.Tx.NoteUsers()
	if c.Spec == specSetUser {
		c.Out.OK()
	}
	return nil
}

var specSetUser = command.Lookup([]byte("acl")).Sub([]byte("setuser"))

// changed returns the record of a user after the rules, old is the one before.
func (u *users) changed(name string, old []byte, there bool, rules []string) ([]byte, error) {
	p := u.parser()
	user := acl.NewUser(name, p.AllChannels)
	switch {
	case there:
		var err error
		if user, err = acl.ParseRecord(name, old); err != nil {
			return nil, err
		}
	case name == acl.DefaultName:
		user = acl.NewDefault()
	}
	user, err := p.Set(user, rules)
	if err != nil {
		return nil, resp.Error("ERR " + err.Error())
	}
	return user.AppendRecord(nil), nil
}
