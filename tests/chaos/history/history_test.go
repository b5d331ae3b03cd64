package history

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func text(s string) Value { return Value{s, true} }

// op is one line of a history in the tests below.
type op struct {
	call, ret int64
	in        Input
	out       Output
}

func set(call, ret int64, s string) op {
	return op{call, ret, Input{Kind: Set, Texts: [2]string{s}}, Output{}}
}
func get(call, ret int64, v Value) op {
	return op{call, ret, Input{Kind: Get}, Output{Values: [2]Value{v}}}
}
func count(call, ret int64, k Kind, n int64) op {
	return op{call, ret, Input{Kind: k, Texts: [2]string{"x"}}, Output{Counts: [2]int64{n}}}
}
func lost(call int64, in Input) op { return op{call, 0, in, Output{Unknown: true}} }
func setText(s string) Input       { return Input{Kind: Set, Texts: [2]string{s}} }
func setPair(call, ret int64, a, b string) op {
	return op{call, ret, Input{Kind: SetPair, Texts: [2]string{a, b}}, Output{}}
}
func read(call, ret int64, k Kind, a, b Value) op {
	return op{call, ret, Input{Kind: k}, Output{Values: [2]Value{a, b}}}
}

// What the checker must and must not accept: each kind of mistake that a
// replicated store can make, as the shortest history that shows it.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		ok   bool
		ops  []op
	}{
		{"in order", true, []op{set(0, 1, "a"), get(2, 3, text("a")), set(4, 5, "b"), get(6, 7, text("b"))}},
		{"concurrent, either way", true, []op{set(0, 10, "a"), set(0, 10, "b"), get(11, 12, text("a"))}},
		{"concurrent, both ways", false, []op{set(0, 10, "a"), set(0, 10, "b"), get(11, 12, text("a")), get(13, 14, text("b"))}},
		{"stale read", false, []op{set(0, 1, "a"), set(2, 3, "b"), get(4, 5, text("a"))}},
		{"read goes back", false, []op{set(0, 1, "a"), set(2, 9, "b"), get(3, 4, text("b")), get(5, 6, text("a"))}},
		{"acknowledged write lost", false, []op{set(0, 1, "a"), get(2, 3, Value{})}},
		{"unknown that happened", true, []op{set(0, 1, "a"), lost(2, setText("b")), get(3, 4, text("a")), get(5, 6, text("b"))}},
		{"unknown that never happened", true, []op{set(0, 1, "a"), lost(2, setText("b")), get(3, 4, text("a")), get(5, 6, text("a"))}},
		{"unknown that happened twice", false, []op{lost(0, setText("b")), get(1, 2, text("b")), set(3, 4, "c"), get(5, 6, text("b"))}},
		{"definite error that happened", false, []op{set(0, 1, "a"), get(2, 3, text("refused"))}},
		{"INCR applied twice", false, []op{count(0, 1, Incr, 1), count(2, 3, Incr, 3)}},
		{"INCR applied twice after no reply", false, []op{lost(0, Input{Kind: Incr}), count(1, 2, Incr, 3)}},
		{"INCR of unknown outcome", true, []op{lost(0, Input{Kind: Incr}), count(1, 2, Incr, 1), count(3, 4, Incr, 3)}},
		{"APPEND", true, []op{set(0, 1, "a"), count(2, 3, Append, 2), get(4, 5, text("ax"))}},
		{"APPEND applied twice", false, []op{set(0, 1, "a"), count(2, 3, Append, 2), get(4, 5, text("axx"))}},
		{"SETNX by two", false, []op{count(0, 5, SetNX, 1), count(0, 5, SetNX, 1)}},
		{"SETNX, DEL, SETNX", true, []op{count(0, 1, SetNX, 1), count(2, 3, Del, 1), count(4, 5, SetNX, 1), count(6, 7, SetNX, 0)}},
		{"whole transaction", true, []op{setPair(0, 1, "a", "b"), read(2, 3, MGet, text("a"), text("b"))}},
		{"half a transaction seen", false, []op{setPair(0, 1, "a", "b"), setPair(2, 9, "c", "d"), read(3, 4, MGet, text("c"), text("b"))}},
		{"half a transaction kept", false, []op{setPair(0, 1, "a", "b"), lost(2, Input{Kind: SetPair, Texts: [2]string{"c", "d"}}),
			read(9, 10, GetPair, text("c"), text("b"))}},
		{"transactions interleaved", false, []op{setPair(0, 9, "a", "b"), setPair(0, 9, "c", "d"), read(10, 11, GetPair, text("a"), text("d"))}},
		{"WATCH missed a change", false, []op{set(0, 1, "a"), set(2, 3, "b"),
			{4, 5, Input{Kind: CompareSet, Expect: text("a"), Texts: [2]string{"c"}}, Output{Counts: [2]int64{1}}}}},
		{"WATCH", true, []op{set(0, 1, "a"),
			{2, 3, Input{Kind: CompareSet, Expect: text("a"), Texts: [2]string{"c"}}, Output{Counts: [2]int64{1}}}, get(4, 5, text("c"))}},
		{"GETSET returned a value that was gone", false, []op{set(0, 1, "a"), set(2, 3, "b"),
			{4, 5, Input{Kind: GetSet, Texts: [2]string{"c"}}, Output{Values: [2]Value{text("a")}}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			book := NewBook("", Limits{})
			g := book.Pick(rand.New(rand.NewPCG(0, 0)))
			for i, o := range c.ops {
				g.Add(i, o.in, o.out, o.call, o.ret)
			}
			got := Check([]*Group{g}, time.Minute)
			if len(got) == 0 != c.ok {
				var b strings.Builder
				g.Write(&b)
				t.Errorf("accepted: %v\n%s", !c.ok, b.String())
			}
			for _, v := range got {
				if v.Undecided {
					t.Error("undecided")
				}
				if err := v.Group.Visualize(new(strings.Builder), time.Second); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A long history of a correct store, with as many unknown outcomes as there
// may be, is decided soon; with one reply changed it is found wrong as soon.
func TestCheckLong(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range uint64(20) {
		g := simulate(rand.New(rand.NewPCG(seed, i)), false)
		start := time.Now()
		if got := Check([]*Group{g}, time.Minute); len(got) != 0 {
			t.Fatalf("history %d of seed %d: %+v", i, seed, got[0])
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("history %d of seed %d took %v", i, seed, took)
		}
		g = simulate(rand.New(rand.NewPCG(seed, i)), true)
		if got := Check([]*Group{g}, time.Minute); len(got) != 1 {
			t.Errorf("history %d of seed %d: a wrong reply was accepted", i, seed)
		}
	}
}

// simulate has four clients use a store for as long as a group allows.
func simulate(rng *rand.Rand, wrong bool) *Group {
	const clients = 4
	book := NewBook("", Limits{Active: 1})
	g := book.Pick(rng)
	var (
		state State
		free  [clients]int64 // when a client is done with its last operation
	)
	for n := 0; g.begin(); n++ {
		at := int64(n) * 10
		client := rng.IntN(clients)
		call := max(free[client]+1, at-rng.Int64N(30))
		ret := at + 1 + rng.Int64N(30)
		free[client] = ret
		if call > at {
			continue
		}
		in := Input{Kind: []Kind{Get, Get, Set, SetNX, GetSet, Append, Del, MGet, SetPair, GetPair}[rng.IntN(10)], Key: rng.IntN(2)}
		in.Texts = [2]string{string(rune('a' + n)), string(rune('A' + n))}
		if rng.IntN(25) == 0 && !in.Kind.Reads() {
			if rng.IntN(2) == 0 {
				state, _ = state.apply(in)
			}
			g.Add(client, in, Output{Unknown: true}, call, 0)
			continue
		}
		var out Output
		state, out = state.apply(in)
		if wrong && n > 150 && in.Kind == Get {
			out.Values[0].Text += "?"
			wrong = false
		}
		g.Add(client, in, out, call, ret)
	}
	return g
}

func TestBookRetires(t *testing.T) {
	book := NewBook("p:", Limits{Active: 2, Operations: 10, Unknown: 2})
	rng := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		book.Pick(rng).Add(0, Input{Kind: Set}, Output{}, 0, 1)
	}
	if n := len(book.Groups()); n < 10 || n > 12 {
		t.Errorf("100 operations are in %d groups of 10", n)
	}
	for _, g := range book.Groups() {
		if n, _ := g.Size(); n > 10 {
			t.Errorf("group %d has %d operations", g.Number, n)
		}
	}
	g := book.Pick(rng)
	g.Add(0, Input{Kind: Set}, Output{Unknown: true}, 0, 0)
	g.Add(0, Input{Kind: Get}, Output{Unknown: true}, 0, 0)
	if ops, unknown := g.Size(); unknown != 1 {
		t.Errorf("%d of %d unknown, want 1: a read without an answer is nothing", unknown, ops)
	}
}
