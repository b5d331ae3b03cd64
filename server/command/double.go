package command

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"dkv/resp"
)

// parseDouble parses a score or weight as C's strtod does, all of it: no space
// before or after, no NaN, and nothing too large or too close to zero for a float64.
func parseDouble(b []byte) (float64, bool) {
	if len(b) == 0 || bytes.ContainsAny(b, "xX") {
		return parseHexDouble(b)
	}
	digits := strings.TrimLeft(string(b), "+-")
	if len(b)-len(digits) > 1 || strings.Contains(digits, "_") {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsNaN(f) {
		return 0, false
	}
	if f == 0 {
		mantissa, _, _ := strings.Cut(strings.ToLower(digits), "e")
		return f, !strings.ContainsAny(mantissa, "123456789")
	}
	return f, true
}

func parseHexDouble(b []byte) (float64, bool) {
	d, ok := parseLongDouble(b)
	if !ok {
		return 0, false
	}
	f, _ := d.f.Float64()
	return f, !math.IsInf(f, 0) && (f != 0 || d.f.Sign() == 0)
}

const (
	errMinMaxNotFloat resp.Error = "ERR min or max is not a float"
	errMinMaxNotLex   resp.Error = "ERR min or max not valid string range item"
)

// scoreBound is an end of a range of scores.
type scoreBound struct {
	score     float64
	exclusive bool
}

// parseScoreBound parses a score, or "(" and a score. As strtod of a C string, it
// skips spaces before the number, takes nothing at all for 0, and what is out of
// range for what is nearest.
func parseScoreBound(arg []byte) (s scoreBound, err error) {
	text := cString(arg)
	text, s.exclusive = strings.CutPrefix(text, "(")
	if text == "" {
		return s, nil
	}
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	f, ok := parseDouble([]byte(text))
	if !ok {
		// Out of range, perhaps.
		f, err = strconv.ParseFloat(text, 64)
		tooLarge := err != nil && math.IsInf(f, 0)
		if text == "" || strings.Contains(text, "_") || math.IsNaN(f) || err != nil && !tooLarge {
			return s, errMinMaxNotFloat
		}
	}
	s.score = f
	return s, nil
}

// lexBound is an end of a range of members: before all, behind all, or at a member.
type lexBound struct {
	infinite  int // -1: before all, 1: behind all
	member    []byte
	exclusive bool
}

func parseLexBound(arg []byte) (b lexBound, err error) {
	single := len(arg) == 1 || len(arg) > 1 && arg[1] == 0
	switch {
	case single && arg[0] == '-':
		return lexBound{infinite: -1}, nil
	case single && arg[0] == '+':
		return lexBound{infinite: 1}, nil
	case len(arg) != 0 && arg[0] == '(':
		return lexBound{member: arg[1:], exclusive: true}, nil
	case len(arg) != 0 && arg[0] == '[':
		return lexBound{member: arg[1:]}, nil
	}
	return b, errMinMaxNotLex
}

// below reports whether a member is below a lower bound.
func (b *lexBound) below(member []byte) bool {
	if b.infinite != 0 {
		return b.infinite > 0
	}
	order := bytes.Compare(member, b.member)
	return order < 0 || order == 0 && b.exclusive
}

// above reports whether a member is above an upper bound.
func (b *lexBound) above(member []byte) bool {
	if b.infinite != 0 {
		return b.infinite < 0
	}
	order := bytes.Compare(member, b.member)
	return order > 0 || order == 0 && b.exclusive
}
