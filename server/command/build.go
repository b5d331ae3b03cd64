package command

import (
	"fmt"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/rdb"
)

// Builder makes the value of a key of the elements that an RDB file or a payload of
// DUMP has. Several may follow each other for one key, each with some of the
// elements: a large value needs no batch of its size.
type Builder struct {
	c   *Ctx
	e   keyspace.Entry
	at  int64 // expiry
	add func(b *Builder, el *rdb.Element) error
	col keyspace.Collection
	// text is what a string is to be; nothing is written before Save.
	text []byte
	kind rdb.Kind
}

// buildable says how values of a kind are made.
type buildable struct {
	t   keyspace.Type
	add func(b *Builder, el *rdb.Element) error
}

// buildables are the kinds that there are. A kind that is missing is one that dkv
// does not have yet.
var buildables = map[rdb.Kind]buildable{
	rdb.KindString: {keyspace.TypeString, (*Builder).addString},
	rdb.KindSet:    {keyspace.TypeSet, (*Builder).addMember},
	rdb.KindZSet:   {keyspace.TypeZSet, (*Builder).addScored},
	rdb.KindHash:   {keyspace.TypeHash, (*Builder).addField},
}

// Buildable returns an error that says what is missing when values of a kind cannot
// be made.
func Buildable(kind rdb.Kind) error {
	if _, ok := buildables[kind]; !ok {
		return resp.Error(fmt.Sprintf("ERR dkv does not have the type of this value yet: a %s", kind))
	}
	return nil
}

// CanHold is Buildable for an element: dkv's hashes have no fields that expire.
func CanHold(el *rdb.Element) error {
	if el.ExpireAt != 0 {
		return resp.Error("ERR dkv does not have the type of this value yet: a hash with fields that expire")
	}
	return nil
}

// NewBuilder returns the builder of the value of a key, which c.Tx has found last: an
// empty one, or what builders before it have saved. expireAt is Unix time in ms, 0:
// never.
func NewBuilder(c *Ctx, e keyspace.Entry, kind rdb.Kind, expireAt int64) (b *Builder, err error) {
	how, ok := buildables[kind]
	if !ok {
		if kind == 0 || kind == rdb.KindModule {
			return nil, fmt.Errorf("%w: not a type of Redis", rdb.ErrFormat)
		}
		return nil, Buildable(kind)
	}
	b = &Builder{c: c, e: e, at: expireAt, add: how.add, kind: kind}
	if kind != rdb.KindString {
		b.col, err = c.Tx.Collection(e, how.t)
		b.col.ExpireAt = expireAt
	}
	return b, typed(err)
}

// Add adds an element, which it does not keep. Errors wrap rdb.ErrFormat for one that
// is there already.
func (b *Builder) Add(el *rdb.Element) error {
	if err := CanHold(el); err != nil {
		return err
	}
	return b.add(b, el)
}

// Save writes what was added.
func (b *Builder) Save() error {
	if b.kind == rdb.KindString {
		b.c.Tx.SetString(&b.e, b.text, b.at, keyspace.FormAuto)
		return nil
	}
	return b.col.Save()
}

// Drop takes back what was added since nothing was saved.
func (b *Builder) Drop() {
	if b.kind != rdb.KindString {
		b.col.Clear()
	}
}

func (b *Builder) addString(el *rdb.Element) error {
	b.text = el.Value
	return nil
}

func (b *Builder) addMember(el *rdb.Element) error {
	added, err := b.c.addMember(&b.col, el.Value)
	return unlessTwice(added, err)
}

func (b *Builder) addField(el *rdb.Element) error {
	added, err := b.c.putField(&b.col, el.Value, el.Second)
	return unlessTwice(added, err)
}

// addScored keeps -0, which a value may have from a time when it was larger.
func (b *Builder) addScored(el *rdb.Element) error {
	l := b.c.limits()
	if b.col.Len() >= l.ZSetListpackEntries.Load() || int64(len(el.Value)) > l.ZSetListpackValue.Load() {
		b.col.Encode(keyspace.ZSetSkiplist)
	}
	added, err := b.col.PutScore(el.Value, el.Score)
	return unlessTwice(added, err)
}

func unlessTwice(added bool, err error) error {
	if err == nil && !added {
		err = fmt.Errorf("%w: an element twice", rdb.ErrFormat)
	}
	return err
}
