package command

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// combined is what a combination of sets must come to: members with the sum of their scores.
type combined map[string]float64

func (m combined) sorted() (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func combineModels(op string, sets []combined) combined {
	out := combined{}
	for i, s := range sets {
		for name, score := range s {
			in := 0
			for _, other := range sets {
				if _, ok := other[name]; ok {
					in++
				}
			}
			if op == "UNION" || op == "INTER" && in == len(sets) || op == "DIFF" && i == 0 && len(sets) > 0 && onlyInFirst(name, sets) {
				out[name] += score
			}
		}
	}
	return out
}

func onlyInFirst(name string, sets []combined) bool {
	for _, s := range sets[1:] {
		if _, ok := s[name]; ok {
			return false
		}
	}
	return true
}

// Sets and sorted sets of all sizes, with elements of their own or inline, as sources of
// all combinations, that reply and that store, on the writer and beside it.
func TestCombinationsOfAllSizes(t *testing.T) {
	r := seed(t)
	c := newClient(t)
	for round := range 60 {
		c.do("FLUSHALL")
		zsets := round%2 == 1
		sizes := []int{0, 1, 5, 100, 200, 1500}
		var keys []string
		var models []combined
		for i := range 1 + r.IntN(4) {
			key, m := fmt.Sprint("k", i), combined{}
			plain := !zsets || r.IntN(4) == 0
			for range sizes[r.IntN(len(sizes))] {
				name, score := strconv.Itoa(r.IntN(1<<(6+r.IntN(8)))), 1.0
				if plain {
					c.do("SADD", key, name)
				} else {
					score = float64(r.IntN(1000))
					c.do("ZADD", key, fmt.Sprint(score), name)
				}
				m[name] = score
			}
			keys, models = append(keys, key), append(models, m)
		}
		if r.IntN(5) == 0 {
			keys, models = append(keys, keys[0]), append(models, models[0])
		}
		for _, op := range []string{"UNION", "INTER", "DIFF"} {
			checkCombination(t, c, op, zsets, keys, models)
		}
	}
}

func checkCombination(t *testing.T, c *client, op string, zsets bool, keys []string, models []combined) {
	t.Helper()
	want := combineModels(op, models)
	names := want.sorted()
	prefix, args := "S", keys
	if zsets {
		prefix, args = "Z", append([]string{strconv.Itoa(len(keys))}, keys...)
	}
	if got := bulksOf(c.do(append([]string{prefix + op}, args...)...)); !slices.Equal(slices.Sorted(slices.Values(got)), names) {
		t.Fatalf("%s%s %v: %d members, want %d", prefix, op, args, len(got), len(names))
	}
	if got, want := c.do(append([]string{prefix + op + "STORE", "out"}, args...)...), fmt.Sprintf(":%d\r\n", len(names)); got != want {
		t.Fatalf("%s%sSTORE %v: %q, want %q", prefix, op, args, got, want)
	}
	if op == "INTER" {
		if got, want := c.do(append([]string{prefix + "INTERCARD", strconv.Itoa(len(keys))}, keys...)...), fmt.Sprintf(":%d\r\n", len(names)); got != want {
			t.Fatalf("%sINTERCARD %v: %q, want %q", prefix, args, got, want)
		}
	}
	if !zsets {
		if got := bulksOf(c.do("SMEMBERS", "out")); !slices.Equal(slices.Sorted(slices.Values(got)), names) {
			t.Fatalf("after %sSTORE %v: %d members, want %d", op, args, len(got), len(names))
		}
		return
	}
	pairs := bulksOf(c.do("ZRANGE", "out", "0", "-1", "WITHSCORES"))
	if len(pairs) != 2*len(names) {
		t.Fatalf("after %sSTORE %v: %d members, want %d", op, args, len(pairs)/2, len(names))
	}
	for i := 0; i < len(pairs); i += 2 {
		score, err := strconv.ParseFloat(pairs[i+1], 64)
		if err != nil || math.Abs(score-want[pairs[i]]) > 1e-9 {
			t.Fatalf("after %sSTORE %v: %s has %s, want %v", op, args, pairs[i], pairs[i+1], want[pairs[i]])
		}
	}
}

// bulksOf returns the bulk strings of an array, or set.
func bulksOf(reply string) (list []string) {
	lines := strings.Split(reply, "\r\n")
	for i := 2; i < len(lines); i += 2 {
		list = append(list, lines[i])
	}
	return list
}

// What a command keeps in memory while it works has a limit, and nothing is changed at it.
func TestKeptElementsAreBounded(t *testing.T) {
	c := newClient(t)
	for i := range 2000 {
		c.do("SADD", "a", strconv.Itoa(i))
		c.do("SADD", "b", strconv.Itoa(i+1000))
		c.do("ZADD", "z", strconv.Itoa(i), strconv.Itoa(i))
		c.do("RPUSH", "l", strconv.Itoa(i))
	}
	c.do("SET", "out", "x")
	c.kept = 10_000
	for _, line := range []string{
		"SUNIONSTORE out a b", "SINTERSTORE out a b", "ZUNIONSTORE out 2 z a", "ZUNION 2 z a", "ZRANGESTORE out z 0 -1", "SORT l", "SORT l ALPHA STORE out",
	} {
		if got, want := c.do(strings.Fields(line)...), "-"+string(ErrKeepsTooMuch)+"\r\n"; got != want {
			t.Errorf("%s: %.100q, want %q", line, got, want)
		}
	}
	c.kept = 0
	if got := c.do("GET", "out"); got != "$1\r\nx\r\n" {
		t.Errorf("the destination has changed: %q", got)
	}
}
