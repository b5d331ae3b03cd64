package rdb

import (
	"bytes"
	"errors"
	"fmt"
)

// Errors of what is read.
var (
	// ErrFormat: it is not what the format allows.
	ErrFormat = errors.New("rdb: bad data format")
	// ErrVersion: it is of a version that this package does not know.
	ErrVersion = errors.New("rdb: unknown version")
	// ErrModule: it is the value of a module.
	ErrModule = errors.New("rdb: a module's value")
	// ErrEmpty: it is a collection without elements, which no key can hold.
	ErrEmpty = errors.New("rdb: an empty collection")
)

const (
	// Version is the version of what this package writes: that of Redis 7.0.
	Version = 10
	// MaxVersion is the last version that it reads: that of Redis 7.4.
	MaxVersion = 12
)

// Kind is what a value is to clients.
type Kind uint8

const (
	KindString Kind = iota + 1
	KindList
	KindSet
	KindZSet
	KindHash
	KindStream
	KindModule
)

var kindNames = [...]string{"none", "string", "list", "set", "sorted set", "hash", "stream", "module's value"}

// String returns the kind's name, for messages.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Type is how a value is written down.
type Type uint8

// The numbers are the format's.
const (
	TypeString         Type = 0
	TypeList           Type = 1
	TypeSet            Type = 2
	TypeZSet           Type = 3 // scores in decimal
	TypeHash           Type = 4
	TypeZSet2          Type = 5 // scores in binary
	TypeModule         Type = 6
	TypeModule2        Type = 7
	TypeHashZipmap     Type = 9
	TypeListZiplist    Type = 10
	TypeSetIntset      Type = 11
	TypeZSetZiplist    Type = 12
	TypeHashZiplist    Type = 13
	TypeListQuicklist  Type = 14 // of ziplists
	TypeStream         Type = 15
	TypeHashListpack   Type = 16
	TypeZSetListpack   Type = 17
	TypeListQuicklist2 Type = 18 // of listpacks and plain items
	TypeStream2        Type = 19 // Redis 7.0
	TypeSetListpack    Type = 20
	TypeStream3        Type = 21 // Redis 7.2
	// Hashes whose fields may expire, of Redis 7.4 before and after its release.
	TypeHashExpiryPre      Type = 22
	TypeHashExpiryPackPre  Type = 23
	TypeHashExpiry         Type = 24
	TypeHashExpiryListpack Type = 25
)

var typeKinds = [...]Kind{
	TypeString: KindString, TypeList: KindList, TypeSet: KindSet, TypeZSet: KindZSet, TypeHash: KindHash, TypeZSet2: KindZSet,
	TypeModule: KindModule, TypeModule2: KindModule, TypeHashZipmap: KindHash, TypeListZiplist: KindList, TypeSetIntset: KindSet,
	TypeZSetZiplist: KindZSet, TypeHashZiplist: KindHash, TypeListQuicklist: KindList, TypeStream: KindStream,
	TypeHashListpack: KindHash, TypeZSetListpack: KindZSet, TypeListQuicklist2: KindList, TypeStream2: KindStream,
	TypeSetListpack: KindSet, TypeStream3: KindStream, TypeHashExpiryPre: KindHash, TypeHashExpiryPackPre: KindHash,
	TypeHashExpiry: KindHash, TypeHashExpiryListpack: KindHash,
}

// Kind returns what a value of the type is, 0 for a type that is none.
func (t Type) Kind() Kind {
	if int(t) < len(typeKinds) {
		return typeKinds[t]
	}
	return 0
}

// Expires reports whether it is that of hashes whose fields may expire.
func (t Type) Expires() bool { return t >= TypeHashExpiryPre && t <= TypeHashExpiryListpack }

// Element is a part of a value: a string as a whole, an item of a list, a member of a
// set or sorted set, a field of a hash, or a part of a stream.
type Element struct {
	Value    []byte  // string, item, member, field
	Second   []byte  // value of a hash's field
	Score    float64 // of a sorted set's member; never NaN
	ExpireAt int64   // of a hash's field, Unix time in ms; 0: never
	Stream   *StreamPart
}

// Clone returns a copy that stays valid.
func (el *Element) Clone() Element {
	c := *el
	c.Value, c.Second = bytes.Clone(el.Value), bytes.Clone(el.Second)
	if el.Stream != nil {
		part := *el.Stream
		part.Name = bytes.Clone(part.Name)
		part.Pairs = make([][]byte, len(el.Stream.Pairs))
		for i, b := range el.Stream.Pairs {
			part.Pairs[i] = bytes.Clone(b)
		}
		c.Stream = &part
	}
	return c
}

// Size is about how many bytes an element holds.
func (el *Element) Size() int {
	n := len(el.Value) + len(el.Second)
	if el.Stream != nil {
		n += len(el.Stream.Name)
		for _, b := range el.Stream.Pairs {
			n += len(b)
		}
	}
	return n
}

// Emit is told of the elements of a value, in their order. What they hold is valid
// until it returns.
type Emit func(*Element) error

func badFormat(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}
