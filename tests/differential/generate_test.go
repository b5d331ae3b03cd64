package differential

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// generator makes steps. What it makes depends on its seed alone.
type generator struct {
	rng     *rand.Rand
	inMulti [connections]bool
	conn    int
	steps   []step
	forms   []string // that it chooses from
}

// stream tells this package's generators from others with the same seed.
const stream = 0x6b76

func newGenerator(seed uint64) *generator {
	return &generator{rng: rand.New(rand.NewPCG(seed, stream)), forms: forms}
}

// sequence returns about n steps.
func (g *generator) sequence(n int) []step {
	if g.rng.IntN(2) == 0 {
		for conn := range connections {
			g.add(step{conn: conn, args: []string{"HELLO", "3"}})
		}
	}
	for len(g.steps) < n {
		if g.rng.IntN(10) == 0 {
			g.conn = g.rng.IntN(connections)
		}
		g.next()
	}
	for conn := range connections {
		if g.inMulti[conn] {
			g.add(step{conn: conn, args: []string{"EXEC"}})
		}
	}
	return g.steps
}

func (g *generator) add(s step) { g.steps = append(g.steps, s) }

// next adds one step, or the few that belong together.
func (g *generator) next() {
	inMulti := g.inMulti[g.conn]
	switch p := g.rng.IntN(100); {
	case inMulti && p < 15:
		g.command(pick(g, "EXEC", "EXEC", "EXEC", "DISCARD"))
	case !inMulti && p < 4:
		g.command("MULTI")
	case !inMulti && p < 7:
		g.command("WATCH " + pick(g, "<key>", "<key> <key>"))
		// Something has to happen while the key is watched.
		if g.rng.IntN(2) == 0 {
			g.conn = g.rng.IntN(connections)
		}
	case !inMulti && p < 9:
		g.expireSoon()
	case !inMulti && p < 11:
		g.add(step{conn: g.conn, args: append([]string{"!scan"}, g.expand(scanArgs)...)})
	default:
		g.command(g.forms[g.rng.IntN(len(g.forms))])
	}
}

// scanArgs are what a whole SCAN loop is asked for.
const scanArgs = "[MATCH <pattern>] [COUNT <count>] [TYPE string]"

// command expands a form, perhaps spoils it, and adds it.
func (g *generator) command(form string) {
	args := g.expand(form)
	if args[0][0] == '!' {
		g.add(step{conn: g.conn, args: args})
		return
	}
	name := strings.ToUpper(args[0])
	if g.rng.IntN(12) == 0 && !fragile[name] {
		args = g.spoil(args)
	}
	if g.rng.IntN(4) == 0 {
		args[0] = g.mixCase(args[0])
	}
	keepAlive(args)
	args = longEnough(args)
	if len(args) == 1 { // with another arity they do nothing
		switch strings.ToUpper(args[0]) {
		case "MULTI":
			g.inMulti[g.conn] = true
		case "EXEC", "DISCARD", "RESET":
			g.inMulti[g.conn] = false
		}
	}
	s := step{conn: g.conn, args: args}
	s.more = g.rng.IntN(6) == 0 && len(g.steps) > 0
	// A step that is sent along needs a next one on the same connection.
	if n := len(g.steps); n > 0 && g.steps[n-1].more && g.steps[n-1].conn != g.conn {
		g.steps[n-1].more = false
	}
	g.add(s)
}

// expireSoon sets a key that expires in a few milliseconds and waits for it.
func (g *generator) expireSoon() {
	key, ms := g.token("key"), strconv.Itoa(1+g.rng.IntN(5))
	switch g.rng.IntN(4) {
	case 0:
		g.add(step{conn: g.conn, args: []string{"SET", key, g.token("value"), "PX", ms}})
	case 1:
		g.add(step{conn: g.conn, args: []string{"PSETEX", key, ms, g.token("value")}})
	case 2:
		g.add(step{conn: g.conn, args: []string{"PEXPIRE", key, ms}})
	default:
		g.add(step{conn: g.conn, args: []string{"GETEX", key, "PX", ms}})
	}
	g.add(step{conn: g.conn, args: []string{"!expired", key}})
}

// spoil makes a command wrong, or odd: an argument too few or too many, two
// swapped, one replaced.
func (g *generator) spoil(args []string) []string {
	at := g.rng.IntN(len(args))
	switch g.rng.IntN(6) {
	case 0:
		if len(args) > 1 {
			args = args[:len(args)-1]
		}
	case 1:
		if at > 0 {
			args = append(args[:at:at], args[at+1:]...)
		}
	case 2:
		args = append(args[:at+1:at+1], args[at:]...)
	case 3:
		if other := g.rng.IntN(len(args)); at > 0 && other > 0 {
			args[at], args[other] = args[other], args[at]
		}
	case 4:
		if at > 0 {
			args[at] = g.token("odd")
		}
	default:
		args = append(args, g.token("odd"))
	}
	return args
}

// keepAlive replaces times that would let a key expire while the sequence runs,
// at not quite the same step on the two servers.
func keepAlive(args []string) {
	late := func(i int) {
		if i < len(args) {
			if n, err := strconv.ParseInt(args[i], 10, 64); err == nil && n > 0 && n < 60_000 {
				args[i] = "100000"
			}
		}
	}
	switch strings.ToUpper(args[0]) {
	case "EXPIRE", "PEXPIRE", "SETEX", "PSETEX":
		late(2)
	case "SET", "GETEX":
		for i, a := range args {
			if strings.EqualFold(a, "EX") || strings.EqualFold(a, "PX") {
				late(i + 1)
			}
		}
	}
}

// longEnough adds an argument to COMMAND GETKEYS of a command without any, which 7.2
// looks at, and 7.0 counts as too few: in MULTI all that follows would differ.
func longEnough(args []string) []string {
	if len(args) == 3 && strings.EqualFold(args[0], "COMMAND") && strings.HasPrefix(strings.ToUpper(args[1]), "GETKEYS") {
		return append(args, "x")
	}
	return args
}

// expand turns a form into arguments. The grammar of a form:
//
//	WORD      itself, sometimes in another case
//	<name>    a random argument of that kind, see token; of the kind command several
//	[a|b]     nothing, or one of the alternatives
//	(a|b)     one of the alternatives
//	{a}       a, one to four times
func (g *generator) expand(form string) []string {
	var args []string
	for form = strings.TrimSpace(form); form != ""; form = strings.TrimSpace(form) {
		switch form[0] {
		case '[', '(', '{':
			inner, rest := bracket(form)
			switch {
			case form[0] == '{':
				for range 1 + g.rng.IntN(4) {
					args = append(args, g.expand(inner)...)
				}
			case form[0] == '(' || g.rng.IntN(3) > 0:
				args = append(args, g.expand(pick(g, alternatives(inner)...))...)
			}
			form = rest
		case '<':
			name, rest, _ := strings.Cut(form[1:], ">")
			if name == "command" {
				args = append(args, g.dataCommand()...)
			} else {
				args = append(args, g.token(name))
			}
			form = rest
		default:
			word, rest, _ := strings.Cut(form, " ")
			if len(args) > 0 && g.rng.IntN(5) == 0 {
				word = g.mixCase(word)
			}
			args = append(args, word)
			form = rest
		}
	}
	return args
}

// bracket splits off the bracketed part that form begins with.
func bracket(form string) (inner, rest string) {
	depth := 0
	for i, c := range form {
		switch c {
		case '[', '(', '{':
			depth++
		case ']', ')', '}':
			if depth--; depth == 0 {
				return form[1:i], form[i+1:]
			}
		}
	}
	panic("form without its closing bracket: " + form)
}

// alternatives splits at the '|' that are not inside brackets.
func alternatives(s string) []string {
	var out []string
	depth, start := 0, 0
	for i, c := range s {
		switch c {
		case '[', '(', '{':
			depth++
		case ']', ')', '}':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, s[start:i])
				start = i + 1
			}
		}
	}
	return append(out, s[start:])
}

func (g *generator) mixCase(s string) string {
	switch g.rng.IntN(3) {
	case 0:
		return strings.ToLower(s)
	case 1:
		return strings.ToUpper(s)
	}
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' && g.rng.IntN(2) == 0 {
			b[i] = c - 'a' + 'A'
		} else if c >= 'A' && c <= 'Z' && g.rng.IntN(2) == 0 {
			b[i] = c - 'A' + 'a'
		}
	}
	return string(b)
}

func pick[T any](g *generator, from ...T) T { return from[g.rng.IntN(len(from))] }
