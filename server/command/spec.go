package command

import "time"

// Spec is a row of the command table. Rows are never changed after start.
type Spec struct {
	// ID is dense: an index for arrays of statistics.
	ID int
	// Name in lower case; a subcommand's is "container|sub".
	Name string
	// Arity is the number of arguments, the name (and subcommand) included; -n
	// means at least n.
	Arity      int
	Flags      Flags
	Categories Categories // those that follow from Flags included
	// KeySpecs say where the keys are. FirstKey, LastKey and KeyStep are derived
	// from them, as older clients know the keys; 0 when there are none.
	KeySpecs                   []KeySpec
	FirstKey, LastKey, KeyStep int
	// MoreKeys finds the keys of specifications that are Unknown, as far as the
	// arguments tell them; nil: there are none.
	MoreKeys func(args [][]byte) []KeyPosition
	// AllKeys finds the keys in place of KeySpecs, where these find what is none; nil:
	// KeySpecs do. It returns nil for arguments that cannot be right.
	AllKeys func(args [][]byte) []KeyPosition
	// Snapshot: a read that looks at more than one key, see WantsSnapshot.
	Snapshot bool
	// Elements: a read that looks at several elements of a collection. Its handler
	// asks for a snapshot itself, when they are records of their own.
	Elements bool
	// Counted: its handler tells of what it is about to read, see Ctx.Lengthy. So it may
	// run where others wait for it, although Redis has it not flagged fast.
	Counted bool
	// Slow: its time grows with the collection, although Redis has it flagged fast.
	Slow bool
	// MayWrite: a script, of which only its text says whether it writes.
	MayWrite bool
	// OnlyReads tells of a write that with these arguments is none, so that it is run as a
	// read, beside the writer. nil: it always is one.
	OnlyReads func(args [][]byte) bool
	// A write's arguments from ElementArg on, ElementStep apart, are elements of the
	// collections in its keys; those that are not there do not matter. 0: unknown.
	ElementArg, ElementStep int
	// Timeout, for commands that may wait for keys (see ErrWait), returns for how long
	// at most, 0: for ever. ok is false when they do not wait with these arguments, or
	// do not parse.
	Timeout func(args [][]byte) (d time.Duration, ok bool)
	// Handler is nil for rows that package server serves, and for containers
	// that do nothing themselves.
	Handler Handler
	// Effect, of rows that package server serves, is the part that a shard's writer does.
	Effect      Handler
	Subcommands []*Spec

	// For COMMAND DOCS.
	Group           Group
	Summary         string
	Since           string // Redis's version; "" for dkv's own commands
	Complexity      string
	DeprecatedSince string
	ReplacedBy      string
	History         []Change
	Tips            []string
	Args            []Arg

	subs map[string]*Spec
}

// Handler runs a command.
type Handler func(c *Ctx) error

// Sub returns a container's subcommand, or nil; name in any case.
func (s *Spec) Sub(name []byte) *Spec {
	var buf [maxNameLen]byte
	return s.subs[string(lowerName(&buf, name))]
}

// IsContainer reports whether the row is only there for its subcommands. COMMAND is
// a container too, but also a command.
func (s *Spec) IsContainer() bool {
	return len(s.Subcommands) != 0 && s.Arity <= -2
}

// GoodArity reports whether a command of n arguments, its name included, has
// neither too few nor too many.
func (s *Spec) GoodArity(n int) bool {
	return n == s.Arity || s.Arity < 0 && n >= -s.Arity
}

// Quick reports whether the command may run where others wait for it.
func (s *Spec) Quick() bool { return s.Flags&FlagFast != 0 && !s.Slow }

// Writes reports whether the command is for the shard's writer.
func (s *Spec) Writes(args [][]byte) bool {
	return s.Flags&FlagWrite != 0 && (s.OnlyReads == nil || !s.OnlyReads(args))
}

// WantsSnapshot reports whether a read with these arguments must see one state of
// the data, because it looks at more than one key of it.
func (s *Spec) WantsSnapshot(args [][]byte) bool {
	if s.MayWrite {
		return true // a script that is run as a read
	}
	return s.Snapshot && !(s.FirstKey == 1 && s.LastKey == -1 && len(args) == 2)
}

// Flags tell what a command does and where it may run, as in COMMAND INFO.
type Flags uint32

// The order is that of the names in a COMMAND INFO reply.
const (
	FlagWrite Flags = 1 << iota
	FlagReadOnly
	FlagDenyOOM
	FlagModule
	FlagAdmin
	FlagPubSub
	FlagNoScript
	FlagBlocking
	FlagLoading
	FlagStale
	FlagSkipMonitor
	FlagSkipSlowlog
	FlagAsking
	FlagFast
	FlagNoAuth
	FlagMayReplicate
	FlagNoMandatoryKeys
	FlagNoAsyncLoading
	FlagNoMulti
	FlagMovableKeys
	FlagAllowBusy
)

var flagNames = []string{
	"write", "readonly", "denyoom", "module", "admin", "pubsub", "noscript", "blocking", "loading", "stale",
	"skip_monitor", "skip_slowlog", "asking", "fast", "no_auth", "may_replicate", "no_mandatory_keys",
	"no_async_loading", "no_multi", "movablekeys", "allow_busy",
}

// Names returns the names of the flags that are set. That a command may replicate is
// not told, as in Redis.
func (f Flags) Names() []string { return bitNames(uint32(f&^FlagMayReplicate), flagNames) }

// Categories are the sets of commands that permissions are given by.
type Categories uint32

// The order is that of ACL CAT.
const (
	CatKeyspace Categories = 1 << iota
	CatRead
	CatWrite
	CatSet
	CatSortedSet
	CatList
	CatHash
	CatString
	CatBitmap
	CatHyperLogLog
	CatGeo
	CatStream
	CatPubSub
	CatAdmin
	CatFast
	CatSlow
	CatBlocking
	CatDangerous
	CatConnection
	CatTransaction
	CatScripting
)

var categoryNames = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo",
	"stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
}

// Names returns the names of the categories, without '@'.
func (c Categories) Names() []string { return bitNames(uint32(c), categoryNames) }

// ParseCategory returns the category of a name without '@'.
func ParseCategory(name string) (Categories, bool) {
	for i, n := range categoryNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// implied returns the categories that follow from flags.
func (f Flags) implied() (c Categories) {
	for _, r := range [...]struct {
		flag Flags
		cat  Categories
	}{
		{FlagWrite, CatWrite}, {FlagReadOnly, CatRead}, {FlagAdmin, CatAdmin | CatDangerous},
		{FlagPubSub, CatPubSub}, {FlagFast, CatFast}, {FlagBlocking, CatBlocking},
	} {
		if f&r.flag != 0 {
			c |= r.cat
		}
	}
	if f&FlagFast == 0 {
		c |= CatSlow
	}
	return c
}

func bitNames(bits uint32, names []string) []string {
	out := []string{}
	for i, name := range names {
		if bits&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// Group is the section of the documentation that a command stands in.
type Group string

const (
	GroupBitmap       Group = "bitmap"
	GroupCluster      Group = "cluster"
	GroupConnection   Group = "connection"
	GroupGeneric      Group = "generic"
	GroupGeo          Group = "geo"
	GroupHash         Group = "hash"
	GroupList         Group = "list"
	GroupPubSub       Group = "pubsub"
	GroupHyperLogLog  Group = "hyperloglog"
	GroupScripting    Group = "scripting"
	GroupServer       Group = "server"
	GroupSet          Group = "set"
	GroupSortedSet    Group = "sorted-set"
	GroupStream       Group = "stream"
	GroupString       Group = "string"
	GroupTransactions Group = "transactions"
	GroupDKV          Group = "dkv" // dkv's own
)

// Change says what a version of Redis changed in a command.
type Change struct {
	Since, Text string
}
