package command

import (
	"strconv"

	"dkv/resp"
)

// KeyFlags say what a command does with the keys of a KeySpec.
type KeyFlags uint16

// The order is that of the names in a COMMAND INFO reply. RO, RW, OW and RM exclude
// each other: reads; reads and writes; overwrites without reading; removes.
const (
	KeyRO KeyFlags = 1 << iota
	KeyRW
	KeyOW
	KeyRM
	KeyAccess // the value is returned, copied or used
	KeyUpdate
	KeyInsert
	KeyDelete
	KeyNotKey // not really a key, but routed like one
	KeyIncomplete
	KeyVariableFlags
)

var keyFlagNames = []string{
	"RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags",
}

// Names returns the names of the flags that are set.
func (f KeyFlags) Names() []string { return bitNames(uint32(f), keyFlagNames) }

// KeySpec says where a command has keys: how to find the first of a row of
// arguments, and which of those that follow are keys. Positions count from the
// command's name, which is 0.
type KeySpec struct {
	Flags KeyFlags
	Notes string

	// The row begins at argument Index; or, when Keyword is set, after the first
	// argument that equals it (in any case), looked for from argument Index on,
	// backwards when that is negative (counted from the end).
	Keyword string
	Index   int

	// Without Counted: every Step-th argument up to LastKey is a key. LastKey counts
	// from the first key; negative: from the last argument, which is -1. Limit, with
	// LastKey -1, stops after 1/Limit of the remaining arguments; 0 and 1: no limit.
	LastKey, Step, Limit int

	// With Counted: argument CountAt (from the row's beginning) holds the number of
	// keys; the first is FirstKey from there, and they are Step apart.
	Counted           bool
	CountAt, FirstKey int

	// Unknown: the keys can only be found by the command itself.
	Unknown bool
}

// at is one key at a fixed position.
func at(index int, flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Index: index, Step: 1}
}

// pair are two keys in a row.
func pair(index int, flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Index: index, LastKey: 1, Step: 1}
}

// from are the keys from a position to the end.
func from(index int, flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Index: index, LastKey: -1, Step: 1}
}

// every are the keys from a position to the end, step apart.
func every(step, index int, flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Index: index, LastKey: -1, Step: step}
}

// counted are keys that follow their number, which is at a position.
func counted(index int, flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Index: index, Counted: true, FirstKey: 1, Step: 1}
}

func (k KeySpec) note(text string) KeySpec {
	k.Notes = text
	return k
}

// Errors of Keys, which COMMAND GETKEYS replies.
const (
	ErrNoKeyArguments  resp.Error = "ERR The command has no key arguments"
	ErrBadKeyArguments resp.Error = "ERR Invalid arguments specified for command"
	ErrBadKeyArity     resp.Error = "ERR Invalid number of arguments specified for command"
)

// KeyPosition is an argument that is a key.
type KeyPosition struct {
	Arg   int
	Flags KeyFlags
}

// Keys returns the positions of the keys in a command. Errors: ErrNoKeyArguments for
// a command that never has keys, ErrBadKeyArity, and ErrBadKeyArguments when there
// are none in these arguments.
func (s *Spec) Keys(args [][]byte) (positions []int, err error) {
	keys, err := s.KeyPositions(args)
	for _, k := range keys {
		positions = append(positions, k.Arg)
	}
	return positions, err
}

// KeyPositions is Keys with what the command does with each key.
func (s *Spec) KeyPositions(args [][]byte) (keys []KeyPosition, err error) {
	return s.AppendKeyPositions(nil, args)
}

// AppendKeyPositions is KeyPositions that appends to keys, which is empty.
func (s *Spec) AppendKeyPositions(keys []KeyPosition, args [][]byte) (_ []KeyPosition, err error) {
	if len(s.KeySpecs) == 0 || len(s.KeySpecs) == 1 && s.KeySpecs[0].Flags&KeyNotKey != 0 {
		return nil, ErrNoKeyArguments
	}
	if !s.GoodArity(len(args)) {
		return nil, ErrBadKeyArity
	}
	if s.AllKeys != nil {
		if keys = s.AllKeys(args); len(keys) == 0 {
			return nil, ErrBadKeyArguments
		}
		return keys, nil
	}
	for i := range s.KeySpecs {
		if keys, err = s.KeySpecs[i].appendKeys(keys, args); err != nil {
			return nil, err
		}
	}
	if s.MoreKeys != nil {
		keys = append(keys, s.MoreKeys(args)...)
	}
	if len(keys) == 0 && s.Flags&FlagNoMandatoryKeys == 0 {
		return nil, ErrBadKeyArguments
	}
	return keys, nil
}

func (k *KeySpec) appendKeys(keys []KeyPosition, args [][]byte) ([]KeyPosition, error) {
	first, ok := k.begin(args)
	if !ok || k.Flags&KeyNotKey != 0 {
		return keys, nil
	}
	last := len(args) - 1
	switch {
	case k.Counted:
		if first+k.CountAt > last {
			return nil, ErrBadKeyArguments
		}
		n, err := strconv.Atoi(leadingNumber(args[first+k.CountAt]))
		if err != nil || n < 0 {
			return nil, ErrBadKeyArguments
		}
		first += k.FirstKey
		if n > (last-first)/k.Step+1 {
			return nil, ErrBadKeyArguments
		}
		last = first + (n-1)*k.Step
	case k.LastKey >= 0:
		if last = first + k.LastKey; last >= len(args) {
			return nil, ErrBadKeyArguments
		}
	case k.Limit > 1:
		last = first + (last-first+1)/k.Limit - 1
	default:
		last += 1 + k.LastKey
	}
	for i := first; i <= last; i += k.Step {
		keys = append(keys, KeyPosition{Arg: i, Flags: k.Flags})
	}
	return keys, nil
}

// leadingNumber returns the digits, and the sign, that b begins with: Redis looks no further
// when it counts keys.
func leadingNumber(b []byte) string {
	n := 0
	for n < len(b) && (b[n] >= '0' && b[n] <= '9' || n == 0 && (b[n] == '-' || b[n] == '+')) {
		n++
	}
	return string(b[:n])
}

// begin finds where the row of arguments starts; ok is false when it is not there
// (an optional part of the command), or the command alone can tell.
func (k *KeySpec) begin(args [][]byte) (int, bool) {
	if k.Unknown {
		return 0, false
	}
	if k.Keyword == "" {
		return k.Index, k.Index < len(args)
	}
	i, step := k.Index, 1
	if i < 0 {
		i, step = len(args)+i, -1
	}
	for ; i > 0 && i < len(args)-1; i += step {
		if isWord(args[i], k.Keyword) {
			return i + 1, true
		}
	}
	return 0, false
}

// legacyKeys derives the key positions that COMMAND has always replied: those of the
// first specification, and of the following as long as they are in a row with it.
func legacyKeys(specs []KeySpec) (first, last, step int) {
	for i := range specs {
		k := &specs[i]
		if k.Keyword != "" || k.Unknown || k.Counted {
			break
		}
		if i > 0 && (k.Step != 1 || step != 1 || k.Index != last+1) {
			break
		}
		if i == 0 {
			first, step = k.Index, k.Step
		}
		if last = k.LastKey; last >= 0 {
			last += k.Index
		}
	}
	return first, last, step
}
