package transport

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"dkv/cluster/consensus"

	"google.golang.org/grpc"
)

const (
	// snapshotWindow is how many chunks may be sent and not yet acknowledged.
	snapshotWindow = 8
	// snapshotAttempts is how many streams in a row may break without a chunk
	// having arrived.
	snapshotAttempts = 20
	// snapshotStall is how long a receiver may take for a chunk; the last one
	// has to be checked and brought to disk.
	snapshotStall = 2 * time.Minute
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendChunkHead appends what goes before a chunk's position and data, which
// together are the body of a kindChunk:
//
//	crc32c u32 LE, of all that follows and a byte 1 if it is the last | length of the position uvarint | position | data
func appendChunkHead(b []byte, position, data []byte, last bool) []byte {
	b = append(b, 0, 0, 0, 0)
	b = binary.AppendUvarint(b, uint64(len(position)))
	binary.LittleEndian.PutUint32(b, chunkSum(last, b[4:], position, data))
	return b
}

func chunkSum(last bool, parts ...[]byte) uint32 {
	var sum uint32
	for _, part := range parts {
		sum = crc32.Update(sum, castagnoli, part)
	}
	if last {
		sum = crc32.Update(sum, castagnoli, []byte{1})
	}
	return sum
}

// parseChunk returns the parts of a chunk. The error is errChecksum, or wraps
// ErrFormat.
func parseChunk(r record) (data, position []byte, last bool, err error) {
	last = r.code == 1
	if len(r.body) < 4 {
		return nil, nil, false, fmt.Errorf("%w: a chunk of %d bytes", ErrFormat, len(r.body))
	}
	if binary.LittleEndian.Uint32(r.body) != chunkSum(last, r.body[4:]) {
		return nil, nil, false, errChecksum
	}
	p := parser{rest: r.body[4:]}
	position = p.bytes(p.uvarint())
	return p.rest, position, last, p.err
}

func (h *SnapshotHeader) record() record {
	b := binary.AppendUvarint(nil, h.EstimatedBytes)
	return record{kind: kindHeader, shard: h.Shard, id: h.ID, body: append(b, h.Message...)}
}

func parseSnapshotHeader(r record) (*SnapshotHeader, error) {
	if r.kind != kindHeader {
		return nil, fmt.Errorf("%w: record of kind %d for a header", ErrFormat, r.kind)
	}
	p := parser{rest: r.body}
	h := &SnapshotHeader{Shard: r.shard, ID: r.id, EstimatedBytes: p.uvarint()}
	h.Message = append([]byte(nil), p.rest...)
	return h, p.err
}

// SendSnapshot sends a raft snapshot on a connection of its own, so that it
// does not hold up messages, and returns when the receiver has all of it. When
// the stream breaks, it goes on where the receiver is, on a new one. It gives
// up when ctx ends, when the peer is no member any more, and after
// snapshotAttempts streams that brought nothing. *RemoteError: the receiver
// does not want it. Any error of src's is returned as it is.
func (t *Transport) SendSnapshot(ctx context.Context, to consensus.NodeID, h *SnapshotHeader, src SnapshotSource) error {
	p := t.peer(to)
	if p == nil {
		return fmt.Errorf("%w: node %d is not a member", ErrNotSent, to)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() { cancel(errReplaced) })()
	var b backoff
	for failures := 0; ; {
		s := &snapshotSend{t: t, peer: p, header: h, src: src}
		err := s.attempt(ctx)
		switch {
		case err == nil:
			p.stats.snapshotsSent.Add(1)
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("transport: send raft snapshot: %w", context.Cause(ctx))
		case s.final:
			return err
		}
		if failures++; s.acked > 0 {
			failures, b = 0, 0
		}
		if failures >= snapshotAttempts {
			return fmt.Errorf("transport: send raft snapshot: no progress in %d attempts: %w", failures, err)
		}
		timer := time.NewTimer(b.next())
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// snapshotSend is one stream's attempt.
type snapshotSend struct {
	t      *Transport
	peer   *peer
	header *SnapshotHeader
	src    SnapshotSource
	stream grpc.ClientStream
	reader recordReader

	// Of the goroutine of acks, while it runs.
	acked int  // chunks
	final bool // another attempt would end the same way
}

func (s *snapshotSend) attempt(ctx context.Context) (err error) {
	self := s.t.identity.Load()
	if self == nil {
		s.final = true
		return fmt.Errorf("%w: this node has no identity", ErrNotSent)
	}
	s.peer.stats.snapshotAttempts.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cc, err := s.t.connect(ctx, s.peer.Addr)
	if err != nil {
		return err
	}
	defer cc.close()
	timer := time.AfterFunc(handshakeTimeout, func() { cancel(errStalled) })
	defer timer.Stop()
	if s.stream, err = s.peer.open(ctx, cc, self, streamSnapshot); err != nil {
		return cc.explain(err)
	}
	s.reader.s = s.stream
	defer s.reader.close()
	if err := sendRecord(s.stream, nil, s.header.record()); err != nil && !errors.Is(err, io.EOF) {
		return err // not a refusal, which accepted finds
	}
	if err := s.peer.accepted(s.stream); err != nil {
		var refused *RefusedError
		s.final = errors.As(err, &refused) && refused.Reason != RefusedNotReady
		if s.final {
			err = fmt.Errorf("%w: %w", ErrNotSent, err)
		}
		return err
	}
	timer.Reset(snapshotStall)
	position, complete, err := s.position()
	if err != nil || complete {
		return err
	}
	return s.chunks(ctx, cancel, timer, position)
}

// position waits for where the receiver is.
func (s *snapshotSend) position() (after []byte, complete bool, err error) {
	r, err := s.reader.next()
	switch {
	case err != nil:
		return nil, false, err
	case r.kind == kindFailure:
		return nil, false, s.failure(r)
	case r.kind != kindPosition:
		return nil, false, fmt.Errorf("%w: record of kind %d for a position", ErrFormat, r.kind)
	case r.code == positionAfter:
		return append(make([]byte, 0, len(r.body)), r.body...), false, nil
	}
	return nil, r.code == positionComplete, nil
}

func (s *snapshotSend) failure(r record) error {
	if r.code == failureDamaged {
		return errChecksum
	}
	s.final = true
	return &RemoteError{Text: string(r.body)}
}

// chunks sends what follows a position while another goroutine takes the acks.
func (s *snapshotSend) chunks(ctx context.Context, cancel context.CancelCauseFunc, timer *time.Timer, position []byte) error {
	window := make(chan struct{}, snapshotWindow)
	acks := make(chan error, 1)
	go func() {
		err := s.acks(window, timer)
		cancel(err) // nil: it is complete
		acks <- err
	}()
	sourceErr, sendErr := s.sendChunks(ctx, window, position)
	// io.EOF: the receiver has ended the stream, and acks is told why.
	if err := cmp.Or(sourceErr, sendErr); err != nil && !errors.Is(err, io.EOF) {
		cancel(err)
	}
	ackErr := <-acks
	switch {
	case ackErr == nil:
		return nil
	case sourceErr != nil:
		s.final = true
		return sourceErr
	case errors.Is(context.Cause(ctx), errStalled):
		return errStalled
	}
	return ackErr
}

// sendChunks sends up to the last chunk. sourceErr makes another attempt futile.
func (s *snapshotSend) sendChunks(ctx context.Context, window chan struct{}, position []byte) (sourceErr, err error) {
	pace := func(n int) error {
		s.peer.stats.snapshotSentBytes.Add(uint64(n))
		return s.t.limiter.wait(ctx, n)
	}
	var head []byte
	for id := uint64(1); ; id++ {
		select {
		case window <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		data, next, last, err := s.src.Next(position)
		if err == nil && (len(next) > MaxPositionBytes || len(next)+len(data) > MaxBytes-maxHeadBytes) {
			err = fmt.Errorf("transport: send raft snapshot: chunk: %w", ErrTooLarge)
		}
		if err != nil {
			return err, nil
		}
		r := record{kind: kindChunk, id: id}
		if last {
			r.code = 1
		}
		head = appendChunkHead(head[:0], next, data, last)
		r.body = head
		if err := sendRecord(s.stream, pace, r, next, data); err != nil {
			return nil, err
		}
		if last {
			return nil, nil
		}
		position = next
	}
}

// acks returns nil when the last chunk was acknowledged: the receiver ends the
// stream then.
func (s *snapshotSend) acks(window chan struct{}, timer *time.Timer) error {
	for {
		r, err := s.reader.next()
		switch {
		case err != nil:
			return err
		case r.kind == kindFailure:
			return s.failure(r)
		case r.kind != kindAck || r.id != uint64(s.acked)+1:
			return fmt.Errorf("%w: record of kind %d for an ack of chunk %d", ErrFormat, r.kind, s.acked+1)
		}
		s.acked++
		timer.Reset(snapshotStall)
		if r.code == 1 {
			return nil
		}
		select {
		case <-window:
		default:
			return fmt.Errorf("%w: an ack too many", ErrFormat)
		}
	}
}
