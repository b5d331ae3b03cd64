package server

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file has the parameters of several words, and the splitting of a
// value or line into words.

func (p *param) parseDuration(s string) (string, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return "", errors.New("argument must be a duration such as 500ms or 2s")
	}
	if d < time.Duration(p.min) {
		return "", fmt.Errorf("argument must be at least %v", time.Duration(p.min))
	}
	return s, nil
}

func (p *param) parseWords(words []string) (string, error) {
	if n := int(p.min); n > 0 && len(words) != n {
		return "", errors.New("wrong number of arguments")
	}
	switch p.name {
	case "oom-score-adj-values":
		for _, w := range words {
			if n, err := strconv.Atoi(w); err != nil || n < -2000 || n > 2000 {
				return "", errors.New("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
			}
		}
	case "bind":
		if len(words) > maxBindAddrs {
			return "", errors.New("Too many bind addresses specified.")
		}
		if len(words) == 1 && words[0] == "" {
			words = nil
		}
	}
	for _, w := range words {
		if p.enum != nil && !slices.Contains(p.enum, strings.ToLower(w)) {
			return "", errors.New("argument(s) must be one of the following: " + strings.Join(p.enum, ", "))
		}
		if strings.ContainsAny(w, " \t\n\"'\x00") {
			return "", errors.New("Invalid character in argument")
		}
	}
	if p.enum != nil { // a set of flags, which Redis shows in the order of its list
		words = slices.DeleteFunc(slices.Clone(p.enum), func(e string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, e) })
		})
	}
	if strings.HasPrefix(p.name, "shutdown-on-") && slices.Contains(words, "save") && slices.Contains(words, "nosave") {
		return "", errors.New("shutdown options SAVE and NOSAVE can't be used simultaneously")
	}
	return strings.Join(words, " "), nil
}

// maxBindAddrs bounds how many addresses one server listens on.
const maxBindAddrs = 16

// parseSave reads pairs of seconds and changes; one empty word is none.
func parseSave(words []string) (string, error) {
	errSave := errors.New("Invalid save parameters")
	if len(words) == 0 || len(words) == 1 && words[0] == "" {
		return "", nil
	}
	if len(words)%2 != 0 {
		return "", errSave
	}
	for i, w := range words {
		n, err := strconv.ParseInt(w, 10, 32)
		if err != nil || n < 0 || i%2 == 0 && n < 1 {
			return "", errSave
		}
	}
	return strings.Join(words, " "), nil
}

// parseOutputLimits reads groups of class, hard limit, soft limit and seconds.
// Classes that are not named keep what they have in old.
func parseOutputLimits(words []string, old string) (string, error) {
	if len(words) == 0 || len(words) == 1 && words[0] == "" {
		return old, nil
	}
	if len(words)%4 != 0 {
		return "", errors.New("Wrong number of arguments in buffer limit configuration.")
	}
	limits := strings.Fields(old)
	for i := 0; i < len(words); i += 4 {
		class := strings.ToLower(words[i])
		if class == "replica" {
			class = "slave"
		}
		at := 0
		for at < len(limits) && limits[at] != class {
			at += 4
		}
		if at >= len(limits) {
			return "", errors.New("Invalid client class specified in buffer limit configuration.")
		}
		hard, err1 := parseMemory(words[i+1])
		soft, err2 := parseMemory(words[i+2])
		secs, err3 := strconv.ParseInt(words[i+3], 10, 32)
		if err1 != nil || err2 != nil || err3 != nil || secs < 0 {
			return "", errors.New("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
		}
		limits[at+1] = strconv.FormatInt(hard, 10)
		limits[at+2] = strconv.FormatInt(soft, 10)
		limits[at+3] = strconv.FormatInt(secs, 10)
	}
	return strings.Join(limits, " "), nil
}

func parsePercentiles(words []string) (string, error) {
	if len(words) == 1 && words[0] == "" {
		return "", nil
	}
	out := make([]string, 0, len(words))
	for _, w := range words {
		f, err := strconv.ParseFloat(w, 64)
		if err != nil {
			return "", errors.New("Invalid latency-tracking-info-percentiles parameters")
		}
		if !(f >= 0 && f <= 100) {
			return "", errors.New("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
		}
		out = append(out, strconv.FormatFloat(f, 'g', -1, 64))
	}
	return strings.Join(out, " "), nil
}

// eventClasses are the letters of notify-keyspace-events that A stands for, in
// the order in which Redis prints them.
const eventClasses = "g$lshzxetd"

// parseEvents reads the letters of notify-keyspace-events in any order.
func parseEvents(s string) (string, error) {
	for _, r := range s {
		if !strings.ContainsRune("A"+eventClasses+"KEmn", r) {
			return "", errors.New("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
		}
	}
	every := true
	for _, r := range eventClasses {
		every = every && strings.ContainsRune(s, r)
	}
	var b strings.Builder
	order := eventClasses + "nKEm"
	if every || strings.Contains(s, "A") {
		order = "nKEm"
		b.WriteByte('A')
	}
	for _, r := range order {
		if strings.ContainsRune(s, r) {
			b.WriteRune(r)
		}
	}
	return b.String(), nil
}

// shownEvents is a value of notify-keyspace-events as CONFIG GET shows it: Redis shows n,
// which A does not stand for, only among single classes.
func shownEvents(value string) string {
	if strings.HasPrefix(value, "A") {
		return strings.Replace(value, "n", "", 1)
	}
	return value
}

// splitWords splits a line into words as redis.conf does: blanks separate,
// "double quotes" know \n \r \t \b \a \xHH and \", 'single quotes' know \'. A
// closing quote must be followed by a blank. ok is false for unbalanced quotes.
func splitWords(line string) (words []string, ok bool) {
	for i := 0; ; {
		for i < len(line) && isBlank(line[i]) {
			i++
		}
		if i == len(line) {
			return words, true
		}
		var w []byte
		switch line[i] {
		case '"':
			w, i = unquoteDouble(line, i+1)
		case '\'':
			w, i = unquoteSingle(line, i+1)
		default:
			start := i
			for i < len(line) && !isBlank(line[i]) && line[i] != '"' && line[i] != '\'' {
				i++
			}
			w = []byte(line[start:i])
			if i < len(line) && !isBlank(line[i]) { // a quote inside a word goes on with it
				var rest []byte
				if line[i] == '"' {
					rest, i = unquoteDouble(line, i+1)
				} else {
					rest, i = unquoteSingle(line, i+1)
				}
				w = append(w, rest...)
			}
		}
		if i < 0 || i < len(line) && !isBlank(line[i]) {
			return nil, false
		}
		words = append(words, string(w))
	}
}

func isBlank(b byte) bool {
	return b == ' ' || b >= '\t' && b <= '\r' || b == 0
}

// unquoteDouble returns what is in line from i to the closing quote, and the
// place after that; -1 when there is none.
func unquoteDouble(line string, i int) ([]byte, int) {
	var w []byte
	for ; i < len(line); i++ {
		b := line[i]
		if b == '"' {
			return w, i + 1
		}
		if b == '\\' && i+3 < len(line) && line[i+1] == 'x' {
			if n, err := strconv.ParseUint(line[i+2:i+4], 16, 8); err == nil {
				w = append(w, byte(n))
				i += 3
				continue
			}
		}
		if b == '\\' && i+1 < len(line) {
			i++
			switch b = line[i]; b {
			case 'n':
				b = '\n'
			case 'r':
				b = '\r'
			case 't':
				b = '\t'
			case 'b':
				b = '\b'
			case 'a':
				b = '\a'
			}
		}
		w = append(w, b)
	}
	return nil, -1
}

func unquoteSingle(line string, i int) ([]byte, int) {
	var w []byte
	for ; i < len(line); i++ {
		if line[i] == '\'' {
			return w, i + 1
		}
		if line[i] == '\\' && i+1 < len(line) && line[i+1] == '\'' {
			i++
		}
		w = append(w, line[i])
	}
	return nil, -1
}

// quoteWord returns w so that splitWords gives it back, in quotes only where
// they are needed.
func quoteWord(w string) string {
	plain := w != ""
	for i := 0; i < len(w) && plain; i++ {
		plain = w[i] > ' ' && w[i] < 0x7f && w[i] != '"' && w[i] != '\'' && w[i] != '\\'
	}
	if plain && w[0] != '#' {
		return w
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(w); i++ {
		switch c := w[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
