package transport

import (
	"errors"
	"fmt"
)

// receiveSnapshot takes a raft snapshot's chunks until the last one, or until
// the stream ends. The sender goes on with another stream then.
func (t *Transport) receiveSnapshot(in *inbound, h *SnapshotHeader, reader *recordReader) error {
	if id, ok := t.completed(in.key); ok && id == h.ID {
		// The ack of the last chunk was lost.
		return sendRecord(in.stream, nil, record{kind: kindPosition, code: positionComplete})
	}
	sink, err := t.o.Handler.Snapshot(in.key.from, h)
	if err != nil {
		return sendFailure(in.stream, err)
	}
	err = t.receiveChunks(in, h, reader, sink)
	if closeErr := sink.Close(); closeErr != nil && err == nil {
		t.o.Logger.Warn("closing a raft snapshot's receiver", "shard", uint16(h.Shard), "error", closeErr)
	}
	return err
}

func (t *Transport) receiveChunks(in *inbound, h *SnapshotHeader, reader *recordReader, sink SnapshotSink) error {
	at := record{kind: kindPosition, code: positionStart}
	if position := sink.Position(); position != nil {
		at.code, at.body = positionAfter, position
	}
	if err := sendRecord(in.stream, nil, at); err != nil {
		return err
	}
	reader.asm.limit = 0
	stats := in.peer.stats
	for id := uint64(1); ; id++ {
		r, err := reader.next()
		if err != nil {
			return err
		}
		if r.kind != kindChunk || r.id != id {
			return fmt.Errorf("%w: record of kind %d for chunk %d", ErrFormat, r.kind, id)
		}
		stats.snapshotGotBytes.Add(uint64(len(r.body)))
		data, position, last, err := parseChunk(r)
		if err == nil {
			err = sink.Chunk(data, position, last)
		} else if errors.Is(err, errChecksum) {
			stats.snapshotDamaged.Add(1)
			t.o.Logger.Warn("a raft snapshot's chunk arrived damaged", "node", uint64(in.key.from), "shard", uint16(h.Shard))
		}
		if err != nil {
			return sendFailure(in.stream, err)
		}
		ack := record{kind: kindAck, id: id}
		if last {
			ack.code = 1
			t.mu.Lock()
			t.mu.complete[in.key] = h.ID
			t.mu.Unlock()
			stats.snapshotsReceived.Add(1)
		}
		if err := sendRecord(in.stream, nil, ack); err != nil || last {
			return err
		}
	}
}

func (t *Transport) completed(key inboundKey) (id uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok = t.mu.complete[key]
	return id, ok
}

func sendFailure(s stream, err error) error {
	r := record{kind: kindFailure, code: failureHandler, body: []byte(err.Error())}
	if errors.Is(err, errChecksum) {
		r.code = failureDamaged
	}
	return sendRecord(s, nil, r)
}
