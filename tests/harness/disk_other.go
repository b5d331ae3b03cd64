//go:build !linux

package harness

import "errors"

// Nodes have disks of their own only where they have hosts of their own.

func (n *Node) FillDisk(int64) error     { return errors.ErrUnsupported }
func (n *Node) FreeDisk() error          { return errors.ErrUnsupported }
func (n *Node) DiskUsed() (int64, error) { return 0, errors.ErrUnsupported }
