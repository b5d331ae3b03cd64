//go:build !unix

package server

// watchHangup does nothing here: that a client has gone is seen when it is replied to.
func (c *Conn) watchHangup(*blocking) (stop func()) { return func() {} }
