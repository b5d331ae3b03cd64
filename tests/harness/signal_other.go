//go:build !unix

package harness

import "errors"

func (n *Node) Pause() error  { return errors.ErrUnsupported }
func (n *Node) Resume() error { return nil }
