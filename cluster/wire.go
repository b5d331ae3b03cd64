package cluster

import (
	"errors"
	"strings"

	"dkv/cluster/consensus"
	"dkv/cluster/shard"
	"dkv/cluster/transport"
)

// Errors between nodes go as text: a letter that says which error it is, or ?,
// and the text for the client.
var wireErrors = []struct {
	code byte
	err  error
}{
	{'L', shard.ErrNotLeader},
	{'U', shard.ErrUncertain},
	{'S', shard.ErrNoSpace},
	{'W', shard.ErrNotWritable},
	{'C', shard.ErrClosed},
	{'B', shard.ErrTooBig},
	{'A', ErrAnswerTooLarge},
	{'X', shard.ErrWithdrawn},
}

const unknownError = '?'

func encodeError(err error) string {
	switch {
	case errors.Is(err, consensus.ErrNotLeader), errors.Is(err, consensus.ErrTermChanged):
		err = shard.ErrNotLeader
	case errors.Is(err, consensus.ErrUncertain):
		err = shard.ErrUncertain
	}
	for _, w := range wireErrors {
		if errors.Is(err, w.err) {
			return string(w.code) + err.Error()
		}
	}
	return string(rune(unknownError)) + err.Error()
}

// remoteError is an error that came from another node: its text, and which of
// ours it is.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

// decodeError is the inverse of encodeError. Errors of the transport stay as they are.
func decodeError(err error) error {
	var remote *transport.RemoteError
	if !errors.As(err, &remote) {
		return err
	}
	if remote.Text == "" {
		return &remoteError{text: "ERR The leader refused the request"}
	}
	code, text := remote.Text[0], remote.Text[1:]
	for _, w := range wireErrors {
		if w.code != code {
			continue
		}
		if text == w.err.Error() {
			return w.err
		}
		return &remoteError{text, w.err}
	}
	if code != unknownError {
		return &remoteError{text: "ERR " + remote.Text} // the other node's transport, which knows no letters
	}
	return &remoteError{text: strings.TrimPrefix(text, "cluster: ")}
}
