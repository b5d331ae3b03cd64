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
	m     maker
	bytes int64 // about what was added
}

// maker makes values of a kind.
type maker interface {
	// add adds an element, which is not changed before save. An error wraps
	// rdb.ErrFormat for one that is there already.
	add(el *rdb.Element) error
	// save writes what was added.
	save() error
	// drop takes back what add has written.
	drop()
}

// makers are those of the kinds that there are: each goes on with the value that a key
// has, or begins it, and gives it an expiry (0: none). A kind that is missing is one
// that dkv does not have yet.
var makers = map[rdb.Kind]func(c *Ctx, e keyspace.Entry, expireAt int64) (maker, error){
	rdb.KindString: makeString,
	rdb.KindList:   makeList,
	rdb.KindSet:    makeCollection(keyspace.TypeSet, (*collectionMaker).addMember),
	rdb.KindStream: makeStream,
	rdb.KindZSet:   makeCollection(keyspace.TypeZSet, (*collectionMaker).addScored),
	rdb.KindHash:   makeCollection(keyspace.TypeHash, (*collectionMaker).addField),
}

const (
	// A value that one batch is to hold is refused above maxBuildBytes: that is what a
	// batch can hold. elementCost is what an element takes beside its bytes.
	maxBuildBytes = 1 << 30
	elementCost   = 32

	errTooLarge resp.Error = "ERR The value exceeds the limit of 1 GiB for what one command writes"
)

// Buildable returns an error that says what is missing when values of a kind cannot
// be made.
func Buildable(kind rdb.Kind) error {
	if makers[kind] == nil {
		return resp.Error(fmt.Sprintf("ERR dkv does not have the type of this value yet: a %s", kind))
	}
	return nil
}

// NewBuilder returns the builder of the value of a key, which c.Tx has found last: an
// empty one, or what builders before it have saved. expireAt is Unix time in ms, 0:
// never.
func NewBuilder(c *Ctx, e keyspace.Entry, kind rdb.Kind, expireAt int64) (*Builder, error) {
	if kind == 0 || kind == rdb.KindModule {
		return nil, fmt.Errorf("%w: not a type of Redis", rdb.ErrFormat)
	}
	if err := Buildable(kind); err != nil {
		return nil, err
	}
	m, err := makers[kind](c, e, expireAt)
	return &Builder{m: m}, typed(err)
}

// Add adds an element, which is not changed before Save. Errors wrap rdb.ErrFormat for
// one that is there already.
func (b *Builder) Add(el *rdb.Element) error {
	if b.bytes += int64(el.Size()) + elementCost; b.bytes > maxBuildBytes {
		return errTooLarge
	}
	return b.m.add(el)
}

// Save writes what was added.
func (b *Builder) Save() error { return b.m.save() }

// Drop takes back what was added since nothing was saved.
func (b *Builder) Drop() { b.m.drop() }

// stringMaker writes nothing before save.
type stringMaker struct {
	tx       *keyspace.Tx
	e        keyspace.Entry
	expireAt int64
	value    []byte
}

func makeString(c *Ctx, e keyspace.Entry, expireAt int64) (maker, error) {
	return &stringMaker{tx: c.Tx, e: e, expireAt: expireAt}, nil
}

func (m *stringMaker) add(el *rdb.Element) error {
	m.value = el.Value
	return nil
}

func (m *stringMaker) save() error {
	m.tx.SetString(&m.e, m.value, m.expireAt, keyspace.FormAuto)
	return nil
}

func (m *stringMaker) drop() {}

// collectionMaker is for hashes, sets and sorted sets.
type collectionMaker struct {
	c    *Ctx
	col  keyspace.Collection
	each func(m *collectionMaker, el *rdb.Element) (added bool, err error)
}

func makeCollection(t keyspace.Type, each func(*collectionMaker, *rdb.Element) (bool, error)) func(*Ctx, keyspace.Entry, int64) (maker, error) {
	return func(c *Ctx, e keyspace.Entry, expireAt int64) (maker, error) {
		col, err := c.Tx.Collection(e, t)
		col.ExpireAt = expireAt
		return &collectionMaker{c: c, col: col, each: each}, err
	}
}

func (m *collectionMaker) add(el *rdb.Element) error {
	added, err := m.each(m, el)
	if err == nil && !added {
		err = fmt.Errorf("%w: an element twice", rdb.ErrFormat)
	}
	return err
}

func (m *collectionMaker) save() error { return m.col.Save() }
func (m *collectionMaker) drop()       { m.col.Clear() }

func (m *collectionMaker) addMember(el *rdb.Element) (bool, error) {
	return m.c.addMember(&m.col, el.Value)
}

func (m *collectionMaker) addField(el *rdb.Element) (bool, error) {
	if el.ExpireAt == 0 {
		return m.c.putField(&m.col, el.Value, el.Second)
	}
	if m.c.Tx.Past(el.ExpireAt) {
		return true, nil // it would be gone at once
	}
	return m.c.putFieldBy(&m.col, el.Value, el.Second, func() (bool, error) {
		return m.col.PutExpiring(el.Value, el.Second, el.ExpireAt)
	})
}

// addScored keeps -0, which a value may have from a time when it was larger.
func (m *collectionMaker) addScored(el *rdb.Element) (bool, error) {
	l := m.c.limits()
	if m.col.Len() >= l.ZSetListpackEntries.Load() || int64(len(el.Value)) > l.ZSetListpackValue.Load() {
		m.col.Encode(keyspace.ZSetSkiplist)
	}
	return m.col.PutScore(el.Value, el.Score)
}
