package command

import "errors"

// Scripter evaluates scripts and functions, and keeps them. See Ctx.Scripts.
type Scripter interface {
	// Run runs c, a row of the group "scripting". Errors as a Handler's; those that
	// are Kept leave what was written.
	Run(c *Ctx) error
}

// A Kept error fails a command, whose writes until then stay: a script's.
type Kept struct{ Err error }

// Error is the reply.
func (k Kept) Error() string { return k.Err.Error() }

// Unwrap returns the reply.
func (k Kept) Unwrap() error { return k.Err }

// Keeps reports whether the writes of a command that failed with err stay.
func Keeps(err error) bool {
	var k Kept
	return errors.As(err, &k)
}

// errNoScripts is for whoever runs commands without an interpreter.
var errNoScripts = errors.New("there is no interpreter")

// scripting hands a command to the interpreter.
func scripting(c *Ctx) error {
	if c.Scripts == nil {
		return errNoScripts
	}
	return c.Scripts.Run(c)
}
