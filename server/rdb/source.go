package rdb

import (
	"errors"
	"hash/crc64"
	"io"
	"math"
)

const (
	// maxStringBytes is the longest string, the limit that Redis has by default.
	maxStringBytes = 512 << 20
	bufferBytes    = 64 << 10
	// growBytes is how much of a long string is believed before it is there.
	growBytes = 1 << 20
)

// table is that of the checksum: the polynomial of Jones, bits reversed, without
// inversion.
var table = crc64.MakeTable(0x95ac9329ac4bc9b5)

func updateSum(sum uint64, b []byte) uint64 { return ^crc64.Update(^sum, table, b) }

// source is what a Reader reads from: a stream through a buffer, or bytes.
type source struct {
	src    io.Reader // nil: only what is in buf
	buf    []byte
	pos    int // [pos,end) is unread
	end    int
	summed int    // [0,summed) of buf is in sum
	sum    uint64 // checksum
	before int64  // bytes read before buf[0]
	long   []byte // a string that is longer than buf
	// While kept is not nil, what is read is added to it; [0,keptTo) of buf is.
	kept   []byte
	keptTo int
}

func (s *source) offset() int64 { return s.before + int64(s.pos) }

// ended makes of the end of a source what it is in the middle of something.
func ended(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return badFormat("it ends too early")
	}
	return err
}

// addSum brings the checksum up to pos.
func (s *source) addSum() {
	s.sum = updateSum(s.sum, s.buf[s.summed:s.pos])
	s.summed = s.pos
}

// keep brings what is kept up to pos.
func (s *source) keep() {
	if s.kept != nil {
		s.kept = append(s.kept, s.buf[s.keptTo:s.pos]...)
	}
	s.keptTo = s.pos
}

// fill reads until n bytes are unread; n is not above the buffer's length.
func (s *source) fill(n int) error {
	if s.end-s.pos >= n {
		return nil
	}
	if s.src == nil {
		return ended(io.EOF)
	}
	s.addSum()
	s.keep()
	copy(s.buf, s.buf[s.pos:s.end])
	s.before += int64(s.pos)
	s.end -= s.pos
	s.pos, s.summed, s.keptTo = 0, 0, 0
	got, err := io.ReadAtLeast(s.src, s.buf[s.end:], n-s.end)
	s.end += got
	return ended(err)
}

func (s *source) byte() (byte, error) {
	if s.pos == s.end {
		if err := s.fill(1); err != nil {
			return 0, err
		}
	}
	s.pos++
	return s.buf[s.pos-1], nil
}

// bytes returns the next n bytes, valid until the next call.
func (s *source) bytes(n uint64) ([]byte, error) {
	switch {
	case n > maxStringBytes:
		return nil, badFormat("a string of %d bytes", n)
	case s.src == nil || n <= uint64(len(s.buf)):
		if n > uint64(math.MaxInt) {
			return nil, ended(io.EOF)
		}
		if err := s.fill(int(n)); err != nil {
			return nil, err
		}
		s.pos += int(n)
		return s.buf[s.pos-int(n) : s.pos : s.pos], nil
	}
	s.long = s.long[:0]
	for want := int(n); len(s.long) < want; {
		if s.pos == s.end {
			if err := s.fill(1); err != nil {
				return nil, err
			}
		}
		k := min(want-len(s.long), s.end-s.pos)
		s.long = append(s.long, s.buf[s.pos:s.pos+k]...)
		s.pos += k
	}
	return s.long, nil
}

// trim gives back the memory of a long string.
func (s *source) trim() {
	if cap(s.long) > growBytes {
		s.long = nil
	}
}
