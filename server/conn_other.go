//go:build !unix

package server

type writeAttempt struct{}

func (c *Conn) initRaw() {}

func (c *Conn) read() (int, error) { return c.readPlain() }

func (c *Conn) tryWrite(b []byte) (int, error) { return c.writePlain(b) }
