//go:build !linux

package wire

import "os"

type room struct{}

func newRoom() (*room, error)             { return nil, ErrUnavailable }
func (r *room) do(func() error) error     { return ErrUnavailable }
func (r *room) visit(func() error) error  { return ErrUnavailable }
func (r *room) close()                    {}
func openTUN(string) (*os.File, error)    { return nil, ErrUnavailable }
func (h *Host) Mount(string, int64) error { return ErrUnavailable }
