package differential

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// step is one command that both servers get.
//
// A name that begins with '!' is not sent as it is but stands for something
// that needs more than one command:
//
//	!expired key   wait until the key has expired on both
//	!scan args...  SCAN with args until the cursor is 0; the keys are the reply
//	!dbsize        DBSIZE, asked again until both have deleted what has expired
type step struct {
	conn int
	// more says that the next step, on the same connection, is sent along.
	more bool
	args []string
}

func (s step) name() string {
	if len(s.args) == 0 {
		return ""
	}
	return strings.ToUpper(s.args[0])
}

// String is a line of a transcript: the connection, "+" when more follows in
// the same write, and the words, quoted as in Go where they need it.
func (s step) String() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(s.conn))
	if s.more {
		b.WriteByte('+')
	}
	for _, a := range s.args {
		b.WriteByte(' ')
		if q := strconv.Quote(a); a == "" || strings.ContainsAny(a, " #\"") || q != `"`+a+`"` {
			b.WriteString(q)
		} else {
			b.WriteString(a)
		}
	}
	return b.String()
}

// parseTranscript reads lines as step.String writes them. Empty lines and lines
// that begin with # are comments.
func parseTranscript(data []byte) ([]step, error) {
	var steps []step
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		steps = append(steps, s)
	}
	return steps, lines.Err()
}

func parseStep(line string) (step, error) {
	var s step
	head, rest, _ := strings.Cut(line, " ")
	head, s.more = strings.CutSuffix(head, "+")
	conn, err := strconv.Atoi(head)
	if err != nil || conn < 0 || conn >= connections {
		return s, fmt.Errorf("a step begins with the number of a connection below %d, not %q", connections, head)
	}
	s.conn = conn
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		word, _, _ := strings.Cut(rest, " ")
		if rest[0] == '"' {
			if word, err = strconv.QuotedPrefix(rest); err != nil {
				return s, fmt.Errorf("bad quoting in %q", line)
			}
			unquoted, err := strconv.Unquote(word)
			if err != nil {
				return s, err
			}
			s.args = append(s.args, unquoted)
		} else {
			s.args = append(s.args, word)
		}
		rest = rest[len(word):]
	}
	if len(s.args) == 0 {
		return s, fmt.Errorf("no command in %q", line)
	}
	return s, nil
}

func transcript(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.String())
		b.WriteByte('\n')
	}
	return b.String()
}
