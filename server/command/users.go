package command

import "errors"

// Users keeps users as records of a shard. See Ctx.Users.
type Users interface {
	// Run runs c, ACL SETUSER or ACL DELUSER, in a write Tx. Errors as a Handler's.
	Run(c *Ctx) error
}

// A Caller is the user that a command is run for, where that user may not do everything.
type Caller interface {
	// Deny returns what a script gets in place of the reply to a command that the user may
	// not run, and notes it in the log of denials; "": the user may.
	Deny(spec *Spec, args [][]byte) string
	// Allows reports whether the user may run a command, and notes nothing.
	Allows(spec *Spec, args [][]byte) bool
	// MayRead reports whether the user may run a command and read all keys.
	MayRead(spec *Spec, args [][]byte) bool
}

var errNoUsers = errors.New("there is nobody to keep users")

// keepUsers hands a command to who keeps users.
func keepUsers(c *Ctx) error {
	if c.Users == nil {
		return errNoUsers
	}
	return c.Users.Run(c)
}
