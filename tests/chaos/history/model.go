package history

import (
	"fmt"
	"hash/maphash"
	"strconv"

	"github.com/anishathalye/porcupine"
)

// Kind is what an operation does. A and B are the two keys of its group.
type Kind uint8

const (
	Get        Kind = iota // GET
	Set                    // SET
	SetNX                  // SETNX
	GetSet                 // GETSET
	Append                 // APPEND
	Del                    // DEL
	Incr                   // INCR
	MGet                   // MGET A B
	SetPair                // MULTI, SET A, SET B, EXEC
	GetPair                // MULTI, GET A, GET B, EXEC
	IncrPair               // MULTI, INCR A, INCR B, EXEC
	CompareSet             // WATCH, GET, MULTI, SET, EXEC; recorded when EXEC was carried out
	kinds
)

var kindNames = [kinds]string{"GET", "SET", "SETNX", "GETSET", "APPEND", "DEL", "INCR", "MGET",
	"MULTI-SET", "MULTI-GET", "MULTI-INCR", "WATCH-SET"}

func (k Kind) String() string { return kindNames[k] }

// Reads reports whether the operation changes nothing.
func (k Kind) Reads() bool { return k == Get || k == MGet || k == GetPair }

// Value is what a key holds.
type Value struct {
	Text string
	OK   bool // false: no such key
}

func (v Value) String() string {
	if !v.OK {
		return "nil"
	}
	return strconv.Quote(v.Text)
}

// Input is an operation.
type Input struct {
	Kind   Kind
	Key    int       // which of the two keys, for operations on one
	Texts  [2]string // what is written; [0] for operations on one key
	Expect Value     // CompareSet: what the key was seen to hold
}

// Output is the reply to an operation.
type Output struct {
	Unknown bool
	Values  [2]Value // what was read; [0] for operations on one key
	Counts  [2]int64 // numbers in the reply; [0] for operations on one key
}

// State is what the two keys of a group hold.
type State [2]Value

// apply carries an operation out as a correct store would.
func (s State) apply(in Input) (State, Output) {
	var out Output
	v := &s[in.Key]
	switch in.Kind {
	case Get:
		out.Values[0] = *v
	case Set:
		*v = Value{in.Texts[0], true}
	case SetNX:
		if !v.OK {
			*v = Value{in.Texts[0], true}
			out.Counts[0] = 1
		}
	case GetSet:
		out.Values[0] = *v
		*v = Value{in.Texts[0], true}
	case Append:
		*v = Value{v.Text + in.Texts[0], true}
		out.Counts[0] = int64(len(v.Text))
	case Del:
		if v.OK {
			out.Counts[0] = 1
		}
		*v = Value{}
	case Incr:
		out.Counts[0] = v.incr()
	case MGet, GetPair:
		out.Values = s
	case SetPair:
		s = State{{in.Texts[0], true}, {in.Texts[1], true}}
	case IncrPair:
		out.Counts = [2]int64{s[0].incr(), s[1].incr()}
	case CompareSet:
		if *v == in.Expect {
			*v = Value{in.Texts[0], true}
			out.Counts[0] = 1
		}
	}
	return s, out
}

func (v *Value) incr() int64 {
	n, _ := strconv.ParseInt(v.Text, 10, 64) // numbers only, in groups that are counted in
	*v = Value{strconv.FormatInt(n+1, 10), true}
	return n + 1
}

var hashSeed = maphash.MakeSeed()

// Model is the store of one group.
var Model = porcupine.Model{
	Init: func() any { return State{} },
	Step: func(state, input, output any) (bool, any) {
		next, want := state.(State).apply(input.(Input))
		got := output.(Output)
		return got.Unknown || got == want, next
	},
	Hash: func(state any) uint64 { return maphash.Comparable(hashSeed, state.(State)) },
	DescribeOperation: func(input, output any) string {
		return input.(Input).String() + " -> " + output.(Output).describe(input.(Input).Kind)
	},
	DescribeState: func(state any) string {
		s := state.(State)
		return s[0].String() + ", " + s[1].String()
	},
}

func (in Input) String() string {
	name := in.Kind.String()
	switch in.Kind {
	case MGet, GetPair, IncrPair:
		return name + " A B"
	case SetPair:
		return fmt.Sprintf("%s A %q B %q", name, in.Texts[0], in.Texts[1])
	case Get, Del, Incr:
		return fmt.Sprintf("%s %c", name, 'A'+in.Key)
	case CompareSet:
		return fmt.Sprintf("%s %c %v to %q", name, 'A'+in.Key, in.Expect, in.Texts[0])
	}
	return fmt.Sprintf("%s %c %q", name, 'A'+in.Key, in.Texts[0])
}

func (o Output) describe(k Kind) string {
	switch {
	case o.Unknown:
		return "unknown"
	case k == Set || k == SetPair:
		return "OK"
	case k == MGet || k == GetPair:
		return o.Values[0].String() + " " + o.Values[1].String()
	case k == Get || k == GetSet:
		return o.Values[0].String()
	case k == IncrPair:
		return fmt.Sprint(o.Counts[0], " ", o.Counts[1])
	}
	return fmt.Sprint(o.Counts[0])
}
