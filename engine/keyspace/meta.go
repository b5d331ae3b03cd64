package keyspace

import (
	"encoding/binary"
	"fmt"
)

// Type is the type of a key's value. The numbers are part of the disk format.
type Type uint8

const (
	TypeNone   Type = 0 // no such key
	TypeString Type = 1
	TypeList   Type = 2
	TypeSet    Type = 3
	TypeZSet   Type = 4
	TypeHash   Type = 5
	TypeStream Type = 6
)

var typeNames = [...]string{"none", "string", "list", "set", "zset", "hash", "stream"}

// String returns the name that TYPE replies.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Form says how a string came to be, as far as OBJECT ENCODING tells it: Redis
// leaves some results in a form that it would not choose for a new value.
type Form uint8

const (
	FormAuto Form = 0 // int, embstr or raw, by the value
	FormRaw  Form = 1 // raw: changed in place (APPEND, SETRANGE)
	FormText Form = 2 // embstr or raw, never int (INCRBYFLOAT)
)

// Version tells incarnations of a collection apart; 0 for strings.
type Version uint64

// maxEmbeddedString is the length up to which Redis calls a string "embstr".
const maxEmbeddedString = 44

// Meta is the record that every key has. For a string the body is the value; for
// a collection it is what the type's code keeps there (its size and so on).
//
//	+-------+-------+-------------+------------+------
//	| flags | type  | expireAt ms | version    | body
//	| 4 bit | 4 bit | 8, if any   | 8, if any  | ...
//	+-------+-------+-------------+------------+------
//
// Numbers are big endian. Flags: 0x10 expireAt is there, 0x20 FormRaw, 0x40
// FormText (strings only, not both); 0x80 is 0. Collections have a version,
// strings have none. expireAt is positive.
type Meta struct {
	Type     Type
	Form     Form
	ExpireAt int64 // Unix time in ms; 0: never
	Version  Version
	Body     []byte
}

const (
	metaTypeMask   = 0x0f
	metaFlagExpiry = 0x10
	metaFlagRaw    = 0x20
	metaFlagText   = 0x40
	metaFlagsKnown = metaFlagExpiry | metaFlagRaw | metaFlagText
)

// AppendTo appends the record's disk form.
func (m *Meta) AppendTo(dst []byte) []byte {
	head := byte(m.Type)
	switch m.Form {
	case FormRaw:
		head |= metaFlagRaw
	case FormText:
		head |= metaFlagText
	}
	if m.ExpireAt != 0 {
		head |= metaFlagExpiry
		dst = append(dst, head)
		dst = binary.BigEndian.AppendUint64(dst, uint64(m.ExpireAt))
	} else {
		dst = append(dst, head)
	}
	if m.Type != TypeString {
		dst = binary.BigEndian.AppendUint64(dst, uint64(m.Version))
	}
	return append(dst, m.Body...)
}

// DecodeMeta parses a record's disk form; Body points into b. An error wraps
// ErrCorrupt.
func DecodeMeta(b []byte) (Meta, error) {
	if len(b) == 0 {
		return Meta{}, fmt.Errorf("%w: empty meta", ErrCorrupt)
	}
	head := b[0]
	m := Meta{Type: Type(head & metaTypeMask), Body: b[1:]}
	if m.Type == TypeNone || m.Type > TypeStream {
		return Meta{}, fmt.Errorf("%w: meta of type %d", ErrCorrupt, m.Type)
	}
	if head&^(metaFlagsKnown|metaTypeMask) != 0 {
		return Meta{}, fmt.Errorf("%w: meta flags %#x", ErrCorrupt, head)
	}
	if head&(metaFlagRaw|metaFlagText) != 0 {
		if m.Type != TypeString || head&metaFlagRaw != 0 && head&metaFlagText != 0 {
			return Meta{}, fmt.Errorf("%w: meta flags %#x", ErrCorrupt, head)
		}
		m.Form = FormRaw
		if head&metaFlagText != 0 {
			m.Form = FormText
		}
	}
	if head&metaFlagExpiry != 0 {
		if len(m.Body) < 8 {
			return Meta{}, fmt.Errorf("%w: meta cut short", ErrCorrupt)
		}
		m.ExpireAt = int64(binary.BigEndian.Uint64(m.Body))
		m.Body = m.Body[8:]
		if m.ExpireAt <= 0 {
			return Meta{}, fmt.Errorf("%w: meta with expiry %d", ErrCorrupt, m.ExpireAt)
		}
	}
	if m.Type != TypeString {
		if len(m.Body) < 8 {
			return Meta{}, fmt.Errorf("%w: meta cut short", ErrCorrupt)
		}
		m.Version = Version(binary.BigEndian.Uint64(m.Body))
		m.Body = m.Body[8:]
	}
	return m, nil
}

// expired reports whether the key's time has come. At its very millisecond a key
// is still there, as in Redis.
func (m *Meta) expired(nowMS int64) bool {
	return m.ExpireAt != 0 && m.ExpireAt < nowMS
}

// Encoding returns what OBJECT ENCODING replies. An error wraps ErrCorrupt.
func (m *Meta) Encoding() (string, error) {
	if m.Type != TypeString {
		h, _, err := parseHead(m.Type, m.Body)
		if err != nil {
			return "", err
		}
		return encodingNames[m.Type][h.encoding], nil
	}
	if m.Form == FormRaw || len(m.Body) > maxEmbeddedString {
		return "raw", nil
	}
	if m.Form == FormAuto {
		if _, ok := ParseInt(m.Body); ok {
			return "int", nil
		}
	}
	return "embstr", nil
}
