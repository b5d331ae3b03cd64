package transport

import (
	"encoding/binary"
	"fmt"
)

// stream is either end of a gRPC stream.
type stream interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// sendRecord sends one record, in as many frames as it takes. Its body is the
// record's and the parts. pace, which may be nil, is asked before each frame.
func sendRecord(s stream, pace func(bytes int) error, r record, parts ...[]byte) error {
	parts = append([][]byte{r.body}, parts...)
	left := 0
	for _, part := range parts {
		left += len(part)
	}
	if r.total = uint64(left); r.total > MaxBytes {
		return fmt.Errorf("%w: a record of %d bytes", ErrTooLarge, left)
	}
	cut := left > frameTargetBytes
	for first := true; first || left > 0; first = false {
		n := min(left, frameTargetBytes)
		b := (*framePool{}.Get(n + 2*maxHeadBytes))[:0]
		switch {
		case !cut:
			b = r.appendHead(b)
		case first:
			b = r.appendFirst(b, nil)
		}
		if cut {
			b = binary.AppendUvarint(append(b, byte(kindMore)), uint64(n))
		}
		left -= n
		for n > 0 {
			part := parts[0][:min(n, len(parts[0]))]
			b = append(b, part...)
			n -= len(part)
			if parts[0] = parts[0][len(part):]; len(parts[0]) == 0 {
				parts = parts[1:]
			}
		}
		if pace != nil {
			if err := pace(len(b)); err != nil {
				return err
			}
		}
		if err := s.SendMsg(newFrame(b)); err != nil {
			return err
		}
	}
	return nil
}

// recordReader takes records off a stream that has one to a frame.
type recordReader struct {
	s   stream
	f   frame
	asm assembler
}

// next returns the next record. Its body is valid until the next call.
func (rr *recordReader) next() (r record, err error) {
	for {
		rr.f.free()
		if err := rr.s.RecvMsg(&rr.f); err != nil {
			return record{}, err
		}
		n := 0
		err := rr.asm.frame(rr.f.bytes(), func(whole record, _ bool) error {
			r = whole
			n++
			return nil
		})
		switch {
		case err != nil:
			return record{}, err
		case n > 1:
			return record{}, fmt.Errorf("%w: %d records in a frame", ErrFormat, n)
		case n == 1:
			return r, nil
		}
	}
}

func (rr *recordReader) close() { rr.f.free() }
