package server

import (
	"encoding/binary"
	"errors"
)

// A message that is passed on to other nodes; any number stand one behind the other:
//
//	kind u8 | uvarint(len channel) channel | uvarint(len message) message
//
// kind is 1 for a channel and 2 for a shard channel. One that is not known here is
// passed over, so every kind has this form.
const (
	passedChannel byte = 1
	passedShard   byte = 2
)

var errPassed = errors.New("server: published messages are damaged")

func appendPassed(b []byte, k subKind, channel, message []byte) []byte {
	kind := passedChannel
	if k == toShardChannel {
		kind = passedShard
	}
	b = append(b, kind)
	b = append(binary.AppendUvarint(b, uint64(len(channel))), channel...)
	return append(binary.AppendUvarint(b, uint64(len(message))), message...)
}

// parsePassed takes the first message off b, of which its parts are parts.
func parsePassed(b []byte) (kind byte, channel, message, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, nil, nil, errPassed
	}
	kind, b = b[0], b[1:]
	for _, part := range []*[]byte{&channel, &message} {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return 0, nil, nil, nil, errPassed
		}
		b = b[w:]
		*part, b = b[:n:n], b[n:]
	}
	return kind, channel, message, b, nil
}

// spread passes a message on to the subscribers on other nodes.
func (s *Server) spread(k subKind, channel, message []byte) {
	if !s.node.Published() {
		return
	}
	b := make([]byte, 0, len(channel)+len(message)+2*binary.MaxVarintLen32+1)
	s.node.Publish(appendPassed(b, k, channel, message))
}

// takeMessages delivers what other nodes have passed on. It is the node's receiver.
func (s *Server) takeMessages(b []byte) {
	for len(b) > 0 {
		kind, channel, message, rest, err := parsePassed(b)
		if err != nil {
			s.log.Error("cannot deliver messages of another node", "err", err, "bytes", len(b))
			return
		}
		switch kind {
		case passedChannel:
			s.pubsub.publish(toChannel, channel, message)
		case passedShard:
			s.pubsub.publish(toShardChannel, channel, message)
		}
		b = rest
	}
}
