package command

import (
	"bytes"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// DefaultMaxStringLen is the longest string that APPEND and SETRANGE make when Ctx
// does not say otherwise: Redis's default of proto-max-bulk-len.
const DefaultMaxStringLen = 512 << 20

// Ctx is a command being run. It is reused; nothing keeps it.
type Ctx struct {
	// Args are the command's name, its subcommand if any, and its arguments. They
	// are valid while the handler runs.
	Args [][]byte
	DB   int // logical database
	Tx   *keyspace.Tx
	Out  *resp.Writer
	Spec *Spec
	// MaxStringLen is proto-max-bulk-len; 0: the default.
	MaxStringLen int64
	// MaxReply is how many bytes Out may have after a reply of any length that was asked
	// for, client-output-buffer-limit or a script's memory; 0: maxRepeated. Then the error is
	// ErrReplyTooLong.
	MaxReply int64
	// MaxKept is how many bytes of elements the handler may keep while it works, see keeps;
	// 0: DefaultMaxKept.
	MaxKept int64
	// Lengthy is called before a Spec.Counted reads, or copies, more than a little: who
	// waits behind it is served by another goroutine then. nil: nobody does. More than one call
	// does no harm.
	Lengthy func()
	// Read is how many elements it read about, as far as the handler has told.
	Read int64
	// Sharded: there are several shards, and Tx sees the keys of one.
	Sharded bool
	// Limits are those of compact encodings; nil: the default.
	Limits *Limits
	// MayWait: the handler may return ErrWait, and has then set Wishes, whose keys are
	// some of Args.
	MayWait bool
	Wishes  []Wish
	// Again, when a handler has set it beside ErrWait, are the arguments to be called
	// with from then on: what "$" meant at first.
	Again [][]byte
	// Scripts evaluates scripts; nil: there are none, as within a script.
	Scripts Scripter
	// Scripted: a script calls the command.
	Scripted bool
	// Caller is who the command is run for; nil: somebody who may do everything.
	Caller Caller
	// Users keeps users; nil: there are none.
	Users Users
	// Shard is the number of the shard that Tx is of.
	Shard int

	scratch []byte          // of get
	added   keyspace.Stream // XADD's, while it runs
}

func (c *Ctx) maxStringLen() int64 {
	if c.MaxStringLen == 0 {
		return DefaultMaxStringLen
	}
	return c.MaxStringLen
}

// DefaultMaxKept is Ctx.MaxKept where nobody says otherwise.
const DefaultMaxKept = 1 << 30

// keptOverhead is what an element that is kept takes beside its bytes.
const keptOverhead = 48

// ErrKeepsTooMuch ends a command that would keep more than Ctx.MaxKept.
const ErrKeepsTooMuch resp.Error = "ERR the command needs more memory than command-memory-limit"

// keeper counts elements that a handler keeps in memory while it works.
type keeper struct{ left int64 }

func (c *Ctx) keeps() keeper {
	if c.MaxKept == 0 {
		return keeper{DefaultMaxKept}
	}
	return keeper{c.MaxKept}
}

func (k *keeper) take(bytes int) error {
	if k.left -= int64(bytes) + keptOverhead; k.left < 0 {
		return ErrKeepsTooMuch
	}
	return nil
}

const (
	// shortRead is how many elements, and how many bytes of a reply, are few.
	shortRead      = 256
	shortReadBytes = 64 << 10
)

// reads is told how many elements a handler is about to read, at most.
func (c *Ctx) reads(n int64) {
	if c.Read += n; c.Read > shortRead {
		c.lengthy()
	}
}

// lengthy says that the command will take a while.
func (c *Ctx) lengthy() {
	if c.Lengthy != nil {
		c.Lengthy()
	}
}

// watch looks at the size of a reply that began at mark, for elements may be large. false:
// it is too large, and is going to be taken back.
func (c *Ctx) watch(mark int) (goOn bool) {
	if len(c.Out.Buf)-mark > shortReadBytes {
		c.lengthy()
	}
	return !c.Out.Full()
}

// isWord reports whether an argument is the word, which is in capitals, in any case.
// Like Redis, which compares C strings, it looks no further than a NUL.
func isWord(arg []byte, word string) bool {
	if len(arg) < len(word) || len(arg) > len(word) && arg[len(word)] != 0 {
		return false
	}
	for i := range len(word) {
		c := arg[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// cString returns an argument up to its first NUL.
func cString(arg []byte) string {
	if i := bytes.IndexByte(arg, 0); i >= 0 {
		arg = arg[:i]
	}
	return string(arg)
}

// integerArg parses an argument that must be a 64-bit integer.
func (c *Ctx) integerArg(i int) (int64, error) {
	n, ok := keyspace.ParseInt(c.Args[i])
	if !ok {
		return 0, resp.ErrNotInt
	}
	return n, nil
}

// findString looks a key up for writing and refuses other types than strings.
func (c *Ctx) findString(key []byte) (keyspace.Entry, error) {
	e, err := c.Tx.Find(c.DB, key)
	if err == nil && e.Exists() && e.Type != keyspace.TypeString {
		err = resp.ErrWrongType
	}
	return e, err
}

// readString looks a key up for reading and refuses other types than strings.
func (c *Ctx) readString(key []byte) (keyspace.Entry, error) {
	e, err := c.Tx.Read(c.DB, key)
	if err == nil && e.Exists() && e.Type != keyspace.TypeString {
		err = resp.ErrWrongType
	}
	return e, err
}

// bulkOrNull replies a string, or null when there is none.
func (c *Ctx) bulkOrNull(e *keyspace.Entry) {
	if !e.Exists() {
		c.Out.Null()
		return
	}
	c.Out.Bulk(e.Body)
	c.Tx.Trim()
}
