package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"github.com/peterh/liner"
)

// lineEditor is what the prompt needs of liner.State.
type lineEditor interface {
	Prompt(prompt string) (string, error)
	AppendHistory(line string)
}

// prompt is an interactive session. It outlives connections.
type prompt struct {
	v    *invocation // v.db follows SELECT, so that a reconnect returns to it
	p    *printer
	ed   lineEditor
	c    *conn // nil: not connected
	inTx bool  // between MULTI and EXEC or DISCARD
	cmds *commandNames
	// interrupts delivers Ctrl-C while a reply is awaited.
	interrupts chan os.Signal
}

// interact runs the prompt on the terminal until the user leaves.
func interact(v *invocation, p *printer) int {
	ed := liner.NewLiner()
	defer ed.Close()
	ed.SetCtrlCAborts(true)
	ed.SetTabCompletionStyle(liner.TabPrints)
	hist := loadHistory(ed)
	defer hist.save(ed)

	s := &prompt{v: v, p: p, ed: ed, cmds: &commandNames{}, interrupts: make(chan os.Signal, 1)}
	ed.SetCompleter(s.cmds.complete)
	signal.Notify(s.interrupts, os.Interrupt)
	defer signal.Stop(s.interrupts)
	return s.run()
}

func (s *prompt) run() int {
	defer s.disconnect()
	s.p.inline = true
	s.connect()
	for {
		s.p.flush()
		line, err := s.ed.Prompt(s.text())
		switch {
		case errors.Is(err, liner.ErrPromptAborted): // Ctrl-C drops the line
			continue
		case errors.Is(err, io.EOF):
			s.p.text("")
			return exitOK
		case err != nil:
			return s.p.failure(err)
		}
		words, err := splitLine(line)
		if err != nil {
			fmt.Fprintf(s.p.err, "dkvctl: %v\n", err)
			s.ed.AppendHistory(line)
			continue
		}
		if len(words) == 0 {
			continue
		}
		if !hasSecret(words) {
			s.ed.AppendHistory(line)
		}
		if isExit(words) {
			return exitOK
		}
		s.serve(words)
	}
}

// text is the prompt itself: where we are, and in what state.
func (s *prompt) text() string {
	if s.c == nil {
		return "not connected> "
	}
	t := s.v.addr
	if s.v.db != 0 {
		t += "[" + strconv.Itoa(s.v.db) + "]"
	}
	if s.inTx {
		t += "(TX)"
	}
	return t + "> "
}

func (s *prompt) serve(words []string) {
	switch strings.ToLower(words[0]) {
	case "help", "?":
		s.help(words[1:])
		return
	case "clear":
		if len(words) == 1 {
			s.p.out.WriteString("\x1b[H\x1b[2J")
			return
		}
	}
	if !s.ready() {
		return
	}
	if isStream(words) {
		s.stream(words)
		return
	}
	var r reply
	err := s.interruptible(func() (err error) {
		r, err = s.c.do(words...)
		return err
	})
	switch {
	case err == nil:
		markText(words, &r)
		s.p.reply(&r)
		s.track(words, &r)
		return
	case isShutdown(words):
		fmt.Fprintln(s.p.err, "dkvctl: the server closed the connection")
	default:
		s.p.failure(err)
	}
	s.disconnect()
	if errors.Is(err, errInterrupted) {
		s.connect()
	}
}

// stream serves a command whose replies do not end. The connection is of no
// other use afterwards.
func (s *prompt) stream(words []string) {
	s.p.text("Reading messages... (press Ctrl-C to end)")
	s.p.flush()
	err := s.interruptible(func() error {
		if err := s.c.send(words...); err != nil {
			return err
		}
		_, err := stream(s.c, s.p)
		return err
	})
	if err != nil && !errors.Is(err, errInterrupted) {
		s.p.failure(err)
	}
	s.disconnect()
	s.connect()
}

// ready makes sure of a live connection before a command is sent, so that a
// command is not lost to a server that restarted meanwhile.
func (s *prompt) ready() bool {
	if s.c != nil && s.c.alive() {
		return true
	}
	if s.inTx {
		fmt.Fprintln(s.p.err, "dkvctl: the connection was lost, and the transaction with it; the command was not sent")
		s.disconnect()
		s.connect()
		return false
	}
	s.disconnect()
	return s.connect()
}

func (s *prompt) connect() bool {
	c, err := dial(s.v)
	if err != nil {
		s.p.failure(err)
		return false
	}
	c.push = func(r *reply) { s.p.reply(r) }
	s.c = c
	s.cmds.load(c)
	if !s.c.alive() { // asking for the names may have failed
		s.disconnect()
		return false
	}
	return true
}

func (s *prompt) disconnect() {
	s.inTx = false
	if s.c != nil {
		s.c.close()
		s.c = nil
	}
}

var errInterrupted = errors.New("interrupted: the command may or may not have been executed")

// interruptible runs f, which waits on the connection; Ctrl-C closes that, and
// makes the error errInterrupted.
func (s *prompt) interruptible(f func() error) error {
	select {
	case <-s.interrupts: // from before
	default:
	}
	done := make(chan struct{})
	watched := make(chan bool)
	go func() {
		select {
		case <-s.interrupts:
			s.c.close()
			watched <- true
		case <-done:
			watched <- false
		}
	}()
	err := f()
	close(done)
	if <-watched && err != nil {
		return errInterrupted
	}
	return err
}

// track follows what a command changed about the connection.
func (s *prompt) track(words []string, r *reply) {
	if r.isError() {
		if strings.EqualFold(words[0], "EXEC") {
			s.inTx = false
		}
		return
	}
	switch strings.ToUpper(words[0]) {
	case "SELECT":
		if n, err := strconv.Atoi(words[len(words)-1]); err == nil && string(r.str) == "OK" {
			s.v.db = n
		}
	case "MULTI":
		s.inTx = true
	case "EXEC", "DISCARD":
		s.inTx = false
	case "RESET":
		s.inTx, s.v.db = false, 0
	case "AUTH":
		s.v.user, s.v.pass = "", words[len(words)-1]
		if len(words) == 3 {
			s.v.user = words[1]
		}
	case "HELLO":
		if len(words) > 1 {
			s.v.proto, _ = strconv.Atoi(words[1])
		}
	}
}
