package command

import (
	"dkv/engine/keyspace"
	"dkv/resp"
)

// inspect looks up the key of an OBJECT subcommand; a key that does not exist is
// replied as null.
func (c *Ctx) inspect() (e keyspace.Entry, ok bool, err error) {
	e, err = c.Tx.Peek(c.DB, c.Args[2])
	if err != nil {
		return e, false, err
	}
	if !e.Exists() {
		c.Out.Null()
	}
	return e, e.Exists(), nil
}

func objectEncoding(c *Ctx) error {
	e, ok, err := c.inspect()
	if !ok {
		return err
	}
	name, err := e.Encoding()
	if err != nil {
		return err
	}
	c.Out.BulkString(name)
	c.Tx.Trim()
	return nil
}

const errNoLFU resp.Error = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. " +
	"Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

func objectFreq(c *Ctx) error {
	_, ok, err := c.inspect()
	if ok {
		return errNoLFU
	}
	return err
}

func objectIdletime(c *Ctx) error {
	e, ok, err := c.inspect()
	if ok {
		c.Out.Int(c.Tx.Idle(&e))
		c.Tx.Trim()
	}
	return err
}

// Redis keeps one object for each small integer and reports this many references to
// it; a value of its own has one.
const (
	sharedIntegers   = 10000
	sharedReferences = 2147483647
)

func objectRefcount(c *Ctx) error {
	e, ok, err := c.inspect()
	if !ok {
		return err
	}
	refs := int64(1)
	if name, err := e.Encoding(); err != nil {
		return err
	} else if name == "int" {
		if n, _ := keyspace.ParseInt(e.Body); n >= 0 && n < sharedIntegers {
			refs = sharedReferences
		}
	}
	c.Out.Int(refs)
	c.Tx.Trim()
	return nil
}

func objectHelp(c *Ctx) error {
	c.help("OBJECT",
		"ENCODING <key>",
		"    Name the form in which Redis would keep the value of the key.",
		"FREQ <key>",
		"    Return how often the key is used, under an LFU eviction policy.",
		"IDLETIME <key>",
		"    Return for how many seconds the key has not been used, at least.",
		"REFCOUNT <key>",
		"    Return the number of references to the value of the key.")
	return nil
}

// help replies the help of a container, in the form that Redis gives it.
func (c *Ctx) help(container string, lines ...string) {
	c.Out.Array(len(lines) + 3)
	c.Out.Simple(container + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, line := range lines {
		c.Out.Simple(line)
	}
	c.Out.Simple("HELP")
	c.Out.Simple("    Print this help.")
}

// recordOverhead is about what a key costs on disk and in caches beside its name and
// value: two lengths, a sequence number, its share of index and filter.
const recordOverhead = 24

func memoryUsage(c *Ctx) error {
	samples := int64(defaultSamples)
	for i := 3; i < len(c.Args); i += 2 {
		if !isWord(c.Args[i], "SAMPLES") || i+1 == len(c.Args) {
			return resp.ErrSyntax
		}
		n, err := c.integerArg(i + 1)
		if err != nil {
			return err
		}
		if n < 0 {
			return resp.ErrSyntax
		}
		samples = n
	}
	e, err := c.Tx.Inspect(c.DB, c.Args[2])
	if err == nil {
		e, err = c.settle(e, c.Args[2])
	}
	if err != nil {
		return err
	}
	if !e.Exists() {
		c.Out.Null()
		return nil
	}
	size := int64(recordOverhead + len(c.Args[2]) + len(e.Body))
	switch e.Type {
	case keyspace.TypeString:
	case keyspace.TypeStream:
		s, err := c.Tx.Stream(e)
		if err != nil {
			return err
		}
		records, err := streamBytes(s, samples)
		if err != nil {
			return err
		}
		size += records
	default:
		col, err := c.Tx.Collection(e, e.Type)
		if err != nil {
			return err
		}
		elements, err := elementBytes(&col, samples)
		if err != nil {
			return err
		}
		size += elements
	}
	c.Out.Int(size)
	c.Tx.Trim()
	return nil
}

// defaultSamples is how many elements MEMORY USAGE looks at; 0 means all.
const defaultSamples = 5

// elementBytes is about what the element records of a collection take: the first
// samples of them, times their number.
func elementBytes(col *keyspace.Collection, samples int64) (int64, error) {
	if col.Inline() {
		return 0, nil
	}
	const elementKey = 16 // what comes before the element in its key
	var n, total int64
	err := col.Each(func(element, value []byte) bool {
		n++
		total += int64(recordOverhead + elementKey + len(element) + len(value))
		if col.Type == keyspace.TypeZSet {
			total += int64(recordOverhead + elementKey + 4 + len(element))
		}
		return n != samples
	})
	if err != nil || n == 0 {
		return 0, err
	}
	return int64(float64(total) / float64(n) * float64(col.Len())), nil
}
