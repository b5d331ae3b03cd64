package transport

import (
	"encoding/binary"
	"fmt"

	"dkv/cluster/raftlog"
)

// Every gRPC message of a stream is one frame: a row of records. A record that
// does not fit into a frame is cut, and others may stand between its parts; one
// record at a time is cut per stream and direction.
//
//	whole   kind u8 | code u8 | shard uvarint | id uvarint | total uvarint | body, total bytes
//	first   as whole, kind with the bit 0x80 set, and after total: n uvarint | n bytes, n < total
//	more    0x7e | n uvarint | n bytes, the next ones of the record that was cut
//	abort   0x7f: the rest of the record that was cut is not sent
//
// code, shard and id mean what the kind says, and are 0 otherwise:
//
//	kind         code        shard  id        body
//	1 hello                                   see hello
//	2 welcome    Refusal                      see welcome
//	3 message                shard            raftpb.Message
//	4 request    CallKind    shard  of call   payload
//	5 reply                         of call   payload
//	6 failure    failureX           of call   text of the error
//	7 header                 shard  transfer  estimated bytes uvarint | raftpb.Message
//	8 position   positionX                    position
//	9 chunk      1: last            sequence  see appendChunkHead
//	10 ack       1: last            sequence
type recordKind uint8

const (
	kindHello recordKind = iota + 1
	kindWelcome
	kindMessage
	kindRequest
	kindReply
	kindFailure
	kindHeader
	kindPosition
	kindChunk
	kindAck
	kindEnd // not a kind

	kindMore  recordKind = 0x7e
	kindAbort recordKind = 0x7f
	firstBit  recordKind = 0x80
)

// Codes of kindFailure.
const (
	failureHandler = iota // the handler's error
	failureDamaged        // a chunk's checksum is wrong: send it again
)

// Codes of kindPosition.
const (
	positionStart    = iota // from the start
	positionAfter           // after the body
	positionComplete        // nothing: the transfer is complete
)

// Sizes of frames. The target holds a full MsgApp of raft whole; a frame can
// exceed it by half, when the small records are many, and by the heads.
const (
	frameTargetBytes = 3 << 19
	maxFrameBytes    = 4 << 20
	maxHeadBytes     = 2 + 4*binary.MaxVarintLen64
)

type record struct {
	kind  recordKind
	code  uint8
	shard raftlog.ShardID
	id    uint64
	total uint64
	body  []byte // all of it, or the part that this record brings
}

// appendHead appends what precedes the body of a whole record.
func (r *record) appendHead(b []byte) []byte {
	b = append(b, byte(r.kind), r.code)
	b = binary.AppendUvarint(b, uint64(r.shard))
	b = binary.AppendUvarint(b, r.id)
	return binary.AppendUvarint(b, r.total)
}

// appendFirst appends the first part of a record that is cut.
func (r *record) appendFirst(b, part []byte) []byte {
	head := len(b)
	b = r.appendHead(b)
	b[head] |= byte(firstBit)
	b = binary.AppendUvarint(b, uint64(len(part)))
	return append(b, part...)
}

func appendMore(b, part []byte) []byte {
	b = append(b, byte(kindMore))
	b = binary.AppendUvarint(b, uint64(len(part)))
	return append(b, part...)
}

// parseRecord takes the first record off a frame. The body is a part of b.
func parseRecord(b []byte) (r record, rest []byte, err error) {
	p := parser{rest: b}
	r.kind = recordKind(p.byte())
	switch kind := r.kind &^ firstBit; {
	case r.kind == kindAbort:
		return r, p.rest, p.err
	case r.kind == kindMore:
		r.body = p.bytes(p.uvarint())
		return r, p.rest, p.err
	case kind == 0 || kind >= kindEnd:
		return r, nil, fmt.Errorf("%w: record of unknown kind %d", ErrFormat, r.kind)
	}
	r.code = p.byte()
	shard := p.uvarint()
	r.shard = raftlog.ShardID(shard)
	r.id = p.uvarint()
	r.total = p.uvarint()
	n := r.total
	if r.kind&firstBit != 0 {
		n = p.uvarint()
	}
	r.body = p.bytes(n)
	switch {
	case p.err != nil:
		return r, nil, p.err
	case uint64(r.shard) != shard:
		return r, nil, fmt.Errorf("%w: shard %d", ErrFormat, shard)
	case r.kind&firstBit != 0 && n >= r.total:
		return r, nil, fmt.Errorf("%w: a part of %d of %d bytes", ErrFormat, n, r.total)
	}
	return r, p.rest, nil
}

// assembler puts the cut records of one stream together again. The zero value
// is ready; limit 0 means MaxBytes.
type assembler struct {
	limit uint64
	open  bool
	cut   record // its body has what came so far
}

// frame calls f for each record of b, and for each cut one whose last part is
// in b. owned tells whether the body is f's to keep; otherwise it is a part of
// b. It returns f's error, or one that wraps ErrFormat or ErrTooLarge.
func (a *assembler) frame(b []byte, f func(r record, owned bool) error) error {
	for len(b) > 0 {
		r, rest, err := parseRecord(b)
		if err != nil {
			return err
		}
		b = rest
		limit := a.limit
		if limit == 0 {
			limit = MaxBytes
		}
		switch {
		case r.kind == kindMore:
			if !a.open || uint64(len(r.body)) > a.cut.total-uint64(len(a.cut.body)) {
				return fmt.Errorf("%w: a part too many", ErrFormat)
			}
			a.grow(r.body)
			if uint64(len(a.cut.body)) == a.cut.total {
				whole := a.cut
				a.open, a.cut = false, record{}
				if err := f(whole, true); err != nil {
					return err
				}
			}
		case r.kind == kindAbort:
			if !a.open {
				return fmt.Errorf("%w: nothing to abort", ErrFormat)
			}
			a.open, a.cut = false, record{}
		case r.total > limit:
			return fmt.Errorf("%w: a record of %d bytes", ErrTooLarge, r.total)
		case r.kind&firstBit != 0:
			if a.open {
				return fmt.Errorf("%w: two records are cut at once", ErrFormat)
			}
			a.open, a.cut = true, r
			a.cut.kind &^= firstBit
			a.cut.body = nil
			a.grow(r.body)
		default:
			if err := f(r, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// wholeFraction is the part of a record that must have come before memory is taken
// for all of it.
const wholeFraction = 16

// grow adds a part. Memory is taken for what has come and as much again, not
// for what a head promises; for all of it when a part of it has come, since to copy
// hundreds of MiB holds up what comes behind.
func (a *assembler) grow(part []byte) {
	have, need := cap(a.cut.body), len(a.cut.body)+len(part)
	if need > have {
		more := min(a.cut.total, uint64(max(need, 2*have, 2*frameTargetBytes)))
		if uint64(need) >= a.cut.total/wholeFraction {
			more = a.cut.total
		}
		bigger := make([]byte, len(a.cut.body), more)
		copy(bigger, a.cut.body)
		a.cut.body = bigger
	}
	a.cut.body = append(a.cut.body, part...)
}

// parser reads fields off a slice. After the first one that is not there, err
// is set and everything reads as zero.
type parser struct {
	rest []byte
	err  error
}

func (p *parser) fail() {
	if p.err == nil {
		p.err = fmt.Errorf("%w: truncated", ErrFormat)
	}
	p.rest = nil
}

func (p *parser) byte() byte {
	if len(p.rest) == 0 {
		p.fail()
		return 0
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	return c
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

// bytes returns a part of the slice that is read.
func (p *parser) bytes(n uint64) []byte {
	if n > uint64(len(p.rest)) {
		p.fail()
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

// text reads a string with its length before it.
func (p *parser) text() string { return string(p.bytes(p.uvarint())) }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
