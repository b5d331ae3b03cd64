package main

import (
	"errors"
	"fmt"
	"time"
)

// progressInterval is how often a long verb says how far it is.
const progressInterval = 2 * time.Second

// progress tells on standard error how far a verb is.
type progress struct {
	p           *printer
	did         string
	keys, bytes int64
	last        time.Time
}

func (g *progress) key(bytes int) {
	g.keys++
	g.bytes += int64(bytes)
	if now := time.Now(); g.last.IsZero() {
		g.last = now
	} else if now.Sub(g.last) >= progressInterval {
		g.last = now
		g.say("...")
	}
}

func (g *progress) say(tail string) {
	fmt.Fprintf(g.p.err, "%s %d keys, %.1f MB%s\n", g.did, g.keys, float64(g.bytes)/1e6, tail)
}

func (g *progress) end() { g.say("") }

// outcome says what became of a verb that prints nothing but its errors.
func (p *printer) outcome(err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(p.err, "dkvctl: %v\n", err)
	var se serverError
	switch {
	case errors.As(err, &se):
		return p.errorCode(string(se))
	case errors.Is(err, errLost):
		return exitConn
	}
	return exitError
}
