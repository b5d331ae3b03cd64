package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxInputLine bounds a line of the input: a value of 512 MiB, quoted in full.
const maxInputLine = 4*maxStdinArg + 4096

var errLongLine = errors.New("input line too long")

// runLines executes a command a line until the input ends or the connection
// does. Its exit code is the highest of the lines'.
func runLines(c *conn, in io.Reader, p *printer) int {
	p.inline = true
	br := bufio.NewReaderSize(in, 64<<10)
	code := exitOK
	for {
		line, err := readLine(br)
		if errors.Is(err, io.EOF) {
			return code
		}
		if err != nil {
			return max(code, p.failure(err))
		}
		words, err := splitLine(line)
		if err != nil {
			code = max(code, p.failure(fmt.Errorf("%w in: %.60q", err, line)))
			continue
		}
		if len(words) == 0 {
			continue
		}
		if isExit(words) {
			return code
		}
		lineCode := execute(c, words, p)
		if lineCode == exitConn {
			return exitConn
		}
		code = max(code, lineCode)
		if br.Buffered() == 0 && p.flush() != nil {
			return max(code, exitError) // whoever writes our input may wait for the reply
		}
	}
}

// readLine returns the next line without its end. io.EOF comes alone.
func readLine(br *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return strings.TrimRight(string(line), "\r\n"), nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return string(line), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		case len(line) > maxInputLine:
			return "", errLongLine
		}
	}
}

func isExit(words []string) bool {
	w := strings.ToLower(words[0])
	return len(words) == 1 && (w == "exit" || w == "quit")
}
