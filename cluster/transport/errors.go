package transport

import (
	"errors"
	"fmt"
	"syscall"
)

var (
	// ErrNotSent: the other node has not run the request and never will.
	ErrNotSent = errors.New("transport: not sent")
	// ErrBroken: the request was sent and no answer came; what became of it is
	// not known.
	ErrBroken = errors.New("transport: sent, but no answer came")
	// ErrClosed: the Transport was closed.
	ErrClosed = errors.New("transport: closed")
	// ErrFormat: what came over the wire does not follow the format.
	ErrFormat = errors.New("transport: malformed data")
	// ErrTooLarge: more than MaxBytes, or than Options.MaxCallBytes.
	ErrTooLarge = errors.New("transport: too large")

	errChecksum = errors.New("transport: a chunk arrived damaged")
	errStalled  = errors.New("transport: the receiver does not get on")
	errReplaced = errors.New("transport: hung up")
)

// RemoteError is an error that the other node's Handler returned.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }

// RefusedError is a handshake that the other node refused. It comes wrapped in
// ErrNotSent.
type RefusedError struct {
	By     string // address
	Reason Refusal
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("transport: refused by %s: %s", e.By, e.Reason)
}

// isRefused says that nobody listens there.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
