package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// Exit codes, documented in docs/dkvctl.md: scripts build on them.
const (
	exitOK        = 0
	exitError     = 1 // the server answered with an error
	exitUsage     = 2 // the arguments, or a line of the input, make no sense
	exitConn      = 3 // no connection, or lost before a reply arrived
	exitNo        = 4 // -get: no such key; -cas: the value was not the expected one
	exitUncertain = 5 // the server does not know whether the write happened
)

// version is set by the linker: -ldflags "-X main.version=...".
var version = "dev"

// stdio is the program's surroundings, so that tests own them.
type stdio struct {
	in            io.Reader
	out, err      io.Writer
	inTTY, outTTY bool
	getenv        func(string) string
}

func main() {
	os.Exit(run(os.Args[1:], stdio{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		inTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		outTTY: term.IsTerminal(int(os.Stdout.Fd())),
		getenv: os.Getenv,
	}))
}

func run(args []string, std stdio) int {
	v, err := parseArgs(args, std.getenv)
	if err != nil {
		fmt.Fprintf(std.err, "dkvctl: %v\nTry dkvctl -help.\n", err)
		return exitUsage
	}
	switch v.verb {
	case "help":
		fmt.Fprint(std.out, usage)
		return exitOK
	case "version":
		fmt.Fprintln(std.out, "dkvctl", version)
		return exitOK
	}
	if v.lastArg {
		if err := v.readLastArg(std.in); err != nil {
			fmt.Fprintf(std.err, "dkvctl: %v\n", err)
			return exitUsage
		}
	}
	p := newPrinter(std, v.format)
	code := dispatch(v, std, p)
	if err := p.flush(); err != nil {
		fmt.Fprintf(std.err, "dkvctl: cannot write the output: %v\n", err)
		return max(code, exitError)
	}
	return code
}

// dispatch gives the invocation to who serves it.
func dispatch(v *invocation, std stdio, p *printer) int {
	if v.verb == "" && len(v.words) == 0 && std.inTTY && std.outTTY {
		return interact(v, p)
	}
	switch v.verb {
	case "verify":
		return verifyBackup(v.operands[0], p)
	case "checksum":
		return checksum(v, p)
	}
	c, err := dial(v)
	if err != nil {
		return p.failure(err)
	}
	defer c.close()
	switch {
	case v.verb != "":
		return runVerb(c, v, p)
	case len(v.words) > 0:
		return execute(c, v.words, p)
	}
	return runLines(c, std.in, p)
}

// maxStdinArg bounds the argument that -x reads: what a server takes.
const maxStdinArg = 512 << 20

// readLastArg appends all of r, line ends included, as the last argument.
func (v *invocation) readLastArg(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, maxStdinArg+1))
	if err != nil {
		return fmt.Errorf("cannot read the last argument from stdin: %w", err)
	}
	if len(data) > maxStdinArg {
		return errors.New("the argument on stdin is larger than 512 MiB")
	}
	if v.verb != "" {
		v.operands = append(v.operands, string(data))
	} else {
		v.words = append(v.words[:len(v.words):len(v.words)], string(data))
	}
	return nil
}
