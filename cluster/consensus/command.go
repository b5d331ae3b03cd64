package consensus

import (
	"context"
	"sync/atomic"
)

// command is a function for the group's goroutine.
type command struct {
	f     func(*core) error
	taken chan struct{}
	// claimed decides whether f runs or its caller has gone.
	claimed atomic.Bool
}

// do runs f on the group's goroutine. An error means that it never runs.
func (g *Group) do(ctx context.Context, f func(*core) error) error {
	cmd := &command{f: f, taken: make(chan struct{})}
	select {
	case g.ctl <- cmd:
	case <-ctx.Done():
		return ctx.Err()
	case <-g.done:
		return ErrStopped
	}
	g.Wake()
	var err error
	select {
	case <-cmd.taken:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-g.done:
		err = ErrStopped
	}
	if cmd.claimed.CompareAndSwap(false, true) {
		return err
	}
	return nil
}
