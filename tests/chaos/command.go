package chaos

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"dkv/tests/chaos/history"
	"dkv/tests/harness"
)

// outcome says what a reply tells of an operation.
type outcome uint8

const (
	done    outcome = iota // it happened, as Output says
	nothing                // it did not happen
	unknown                // it may happen, or have happened
	wrong                  // no server may reply this
)

// commands returns what to send for an operation, all but CompareSet.
func commands(g *history.Group, in history.Input) [][]string {
	key := g.Keys[in.Key]
	switch in.Kind {
	case history.Set:
		return [][]string{{"SET", key, in.Texts[0]}}
	case history.SetNX:
		return [][]string{{"SETNX", key, in.Texts[0]}}
	case history.GetSet:
		return [][]string{{"GETSET", key, in.Texts[0]}}
	case history.Append:
		return [][]string{{"APPEND", key, in.Texts[0]}}
	case history.Del:
		return [][]string{{"DEL", key}}
	case history.Incr:
		return [][]string{{"INCR", key}}
	case history.MGet:
		return [][]string{{"MGET", g.Keys[0], g.Keys[1]}}
	case history.SetPair:
		return transaction([]string{"SET", g.Keys[0], in.Texts[0]}, []string{"SET", g.Keys[1], in.Texts[1]})
	case history.GetPair:
		return transaction([]string{"GET", g.Keys[0]}, []string{"GET", g.Keys[1]})
	case history.IncrPair:
		return transaction([]string{"INCR", g.Keys[0]}, []string{"INCR", g.Keys[1]})
	}
	return [][]string{{"GET", key}}
}

func transaction(body ...[]string) [][]string {
	return append(append([][]string{{"MULTI"}}, body...), []string{"EXEC"})
}

// parse says what the last of an operation's replies means: the only one, or
// that of EXEC. A Reply without bytes is one that did not come.
func parse(in history.Input, r harness.Reply) (history.Output, outcome) {
	var out history.Output
	switch {
	case len(r.Raw) == 0:
		return out, unknown
	case r.IsError():
		return out, errorOutcome(r)
	}
	switch in.Kind {
	case history.Get, history.GetSet:
		out.Values[0] = value(r)
		return out, check(r.Kind == '$')
	case history.Set:
		return out, check(string(r.Str) == "OK")
	case history.SetNX, history.Append, history.Del, history.Incr:
		n, ok := r.Int()
		out.Counts[0] = n
		return out, check(ok)
	case history.MGet, history.GetPair:
		if len(r.Elems) != 2 || r.Elems[0].IsError() || r.Elems[1].IsError() {
			return out, wrong
		}
		out.Values = [2]history.Value{value(r.Elems[0]), value(r.Elems[1])}
		return out, done
	case history.SetPair:
		return out, check(len(r.Elems) == 2 && string(r.Elems[0].Str) == "OK" && string(r.Elems[1].Str) == "OK")
	case history.IncrPair:
		if len(r.Elems) != 2 {
			return out, wrong
		}
		a, okA := r.Elems[0].Int()
		b, okB := r.Elems[1].Int()
		out.Counts = [2]int64{a, b}
		return out, check(okA && okB)
	case history.CompareSet:
		if r.Null {
			return out, nothing // another client was faster
		}
		out.Counts[0] = 1
		return out, check(len(r.Elems) == 1 && string(r.Elems[0].Str) == "OK")
	}
	panic(fmt.Sprintf("chaos: no reply is known for %v", in.Kind))
}

// refusals are the errors with which a node may refuse what it cannot do now.
var refusals = []string{"CLUSTERDOWN", "MISCONF", "LOADING", "TRYAGAIN", "EXECABORT"}

const shuttingDown = "ERR The server is shutting down"

func errorOutcome(r harness.Reply) outcome {
	word := errorWord(r)
	if word == "UNCERTAIN" {
		return unknown
	}
	if slices.Contains(refusals, word) || string(r.Str) == shuttingDown {
		return nothing
	}
	return wrong
}

func errorWord(r harness.Reply) string {
	word, _, _ := strings.Cut(string(r.Str), " ")
	return word
}

func check(ok bool) outcome {
	if ok {
		return done
	}
	return wrong
}

func value(r harness.Reply) history.Value {
	if r.Null {
		return history.Value{}
	}
	return history.Value{Text: string(bytes.Clone(r.Str)), OK: true}
}
