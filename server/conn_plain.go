package server

// readPlain is read for connections without a file descriptor of their own.
func (c *Conn) readPlain() (int, error) {
	before := c.reader.Buffered()
	err := c.reader.Fill(c.nc)
	return c.reader.Buffered() - before, err
}

// writePlain is tryWrite for such connections; it waits.
func (c *Conn) writePlain(b []byte) (int, error) {
	n, err := c.nc.Write(b)
	c.srv.stats.NetOutput.Add(uint64(n))
	return n, err
}
