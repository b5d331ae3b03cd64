package main

import (
	"errors"
	"strconv"
)

var errQuotes = errors.New("unbalanced quotes")

// splitLine splits a line into words as redis-cli and Redis's inline commands
// do: words are separated by white space; "..." may contain \n \r \t \a \b \"
// \\ and \xHH; '...' may contain \'; a closing quote ends the word.
func splitLine(line string) ([]string, error) {
	var words []string
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return words, nil
		}
		word, next, err := splitWord(line, i)
		if err != nil {
			return nil, err
		}
		words = append(words, word)
		i = next
	}
}

// splitWord returns the word that begins at line[i] and where it ends.
func splitWord(line string, i int) (string, int, error) {
	var word []byte
	for i < len(line) && !isSpace(line[i]) {
		c := line[i]
		if c != '"' && c != '\'' {
			word = append(word, c)
			i++
			continue
		}
		var err error
		if word, i, err = appendUnquoted(word, line, i+1, c); err != nil {
			return "", 0, err
		}
		if i < len(line) && !isSpace(line[i]) {
			return "", 0, errQuotes
		}
	}
	return string(word), i, nil
}

// appendUnquoted appends what stands between line[i] and the closing quote, and
// returns the index after that quote.
func appendUnquoted(word []byte, line string, i int, quote byte) ([]byte, int, error) {
	for i < len(line) {
		c := line[i]
		switch {
		case c == quote:
			return word, i + 1, nil
		case c == '\\' && quote == '\'' && i+1 < len(line) && line[i+1] == '\'':
			word = append(word, '\'')
			i += 2
		case c == '\\' && quote == '"' && i+1 < len(line):
			var b byte
			b, i = unescape(line, i)
			word = append(word, b)
		default:
			word = append(word, c)
			i++
		}
	}
	return nil, 0, errQuotes
}

// unescape returns the byte that the escape at line[i] stands for, and the
// index after it. line[i] is a backslash and not the last byte.
func unescape(line string, i int) (byte, int) {
	c := line[i+1]
	if c == 'x' && i+3 < len(line) {
		if n, err := strconv.ParseUint(line[i+2:i+4], 16, 8); err == nil {
			return byte(n), i + 4
		}
	}
	switch c {
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'a':
		c = '\a'
	case 'b':
		c = '\b'
	}
	return c, i + 2
}

func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}
