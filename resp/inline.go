package resp

import "bytes"

// inline parses a request typed as a line: words between blanks, in which
// "..." quotes with escapes (\n \r \t \b \a \xHH, any other character stands
// for itself) and '...' quotes literally but for \'. The words are unescaped
// where they stand, which never makes them longer. An empty line is a command
// without arguments.
func (r *Reader) inline() (done bool, err error) {
	line := r.b.data[r.pos:r.end]
	i := bytes.IndexByte(line[r.scanned:], '\n') + r.scanned
	if i < r.scanned || i > maxLine {
		if len(line) > maxLine {
			return false, ErrTooBigInline
		}
		r.scanned = len(line)
		return false, nil
	}
	r.scanned = 0
	line = line[:i]
	if i > 0 && line[i-1] == '\r' {
		line = line[:i-1]
	}
	if !r.splitLine(line) {
		return false, ErrUnbalancedQuotes
	}
	r.pos += i + 1
	return true, nil
}

// splitLine appends a span for each word of line, which starts at r.cmd. It
// returns false when a quote is not closed, or closes in the middle of a word.
func (r *Reader) splitLine(line []byte) bool {
	for p := 0; ; {
		for p < len(line) && isSpace(line[p]) {
			p++
		}
		if p == len(line) {
			return true
		}
		word := span{p, p}
		for p < len(line) && !endsWord(line[p]) {
			if c := line[p]; c == '"' || c == '\'' {
				n, length := unquote(line[word.to:], line[p+1:], c)
				if n < 0 {
					return false
				}
				word.to += length
				if p += 1 + n; p < len(line) && !isSpace(line[p]) {
					return false
				}
				break
			}
			line[word.to] = line[p]
			word.to++
			p++
		}
		r.b.spans = append(r.b.spans, word)
	}
}

// unquote writes the quoted text at the start of src to dst, which may overlap
// it from the left. n is how much of src was read, closing quote included, or
// -1 when there is none.
func unquote(dst, src []byte, quote byte) (n, length int) {
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch {
		case c == quote:
			return i + 1, length
		case c == '\\' && quote == '\'' && i+1 < len(src) && src[i+1] == '\'':
			i++
			c = '\''
		case c == '\\' && quote == '"' && i+3 < len(src) && src[i+1] == 'x' && hexDigit(src[i+2]) >= 0 && hexDigit(src[i+3]) >= 0:
			c = byte(hexDigit(src[i+2])<<4 | hexDigit(src[i+3]))
			i += 3
		case c == '\\' && quote == '"' && i+1 < len(src):
			i++
			c = unescape(src[i])
		}
		dst[length] = c
		length++
	}
	return -1, 0
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// endsWord is narrower than isSpace: \v and \f are blanks between words but
// not in them. Redis has it so.
func endsWord(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
