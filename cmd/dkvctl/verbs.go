package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// runVerb serves one of the verbs.
func runVerb(c *conn, v *invocation, p *printer) int {
	switch v.verb {
	case "get":
		return get(c, v.operands[0], p)
	case "iter":
		return iterate(c, v.operands[0], p)
	case "cas":
		return compareAndSet(c, v, p)
	case "import":
		return importFile(c, v.operands[0], p)
	case "export":
		return exportFile(c, v, p)
	case "healthcheck":
		return healthcheck(c, v.timeout, p)
	case "listnodes":
		return listNodes(c, p)
	case "backup":
		return backupNode(c, v.operands[0], p)
	}
	return execute(c, v.command(), p)
}

// command is what a verb without code of its own stands for.
func (v *invocation) command() []string {
	words := append(slices.Clone(verbCommand[v.verb]), v.operands...)
	if v.force {
		words = append(words, "FORCE")
	}
	if v.async {
		words = append(words, "ASYNC")
	}
	return words
}

// verbCommand has the first words of a verb's command.
var verbCommand = map[string][]string{
	"set":            {"SET"},
	"mget":           {"MGET"},
	"del":            {"DEL"},
	"addnode":        {"CLUSTER", "ADDNODE"},
	"removenode":     {"CLUSTER", "REMOVENODE"},
	"transferleader": {"CLUSTER", "TRANSFERLEADER"},
}

// get prints a value as it is. An absent key prints nothing into a pipe, where
// it could not be told from an empty value; the exit code tells.
func get(c *conn, key string, p *printer) int {
	r, err := c.do("GET", key)
	if err != nil {
		return p.failure(err)
	}
	absent := r.kind == kindNil
	switch {
	case absent && p.format == formatRaw:
	case r.kind == kindBulk && p.format == formatTTY:
		p.text(string(appendShown(nil, r.str)))
	default:
		if code := p.reply(&r); code != exitOK {
			return code
		}
	}
	if absent {
		return exitNo
	}
	return exitOK
}

func compareAndSet(c *conn, v *invocation, p *printer) int {
	words := append([]string{"DKV.CAS"}, v.operands...)
	if v.absent {
		words = append(words, "ABSENT")
	}
	r, err := c.do(words...)
	if err != nil {
		return p.failure(err)
	}
	code := p.reply(&r)
	if code == exitOK && r.kind == kindInt && r.num == 0 {
		return exitNo
	}
	return code
}

// healthcheck asks whether the server answers within the timeout. A server
// that wants a password which it was not given answers, so it is healthy; one
// that is loading is not.
func healthcheck(c *conn, timeout time.Duration, p *printer) int {
	c.wait = timeout
	r, err := c.do("PING")
	if err != nil {
		return p.failure(err)
	}
	if r.isError() && strings.HasPrefix(string(r.str), "NOAUTH") {
		return exitOK
	}
	return p.reply(&r)
}

// execute sends one command and prints its reply, or all that follow when it
// is one that starts a stream.
func execute(c *conn, words []string, p *printer) int {
	if err := c.send(words...); err != nil {
		return p.failure(err)
	}
	if isStream(words) {
		code, err := stream(c, p)
		if err != nil {
			return p.failure(err)
		}
		return code
	}
	r, err := c.receive()
	if err != nil {
		if isShutdown(words) && errors.Is(err, errLost) {
			return exitOK // how a server that shuts down says so
		}
		return p.failure(err)
	}
	markText(words, &r)
	return p.reply(&r)
}

// markText marks the reply to a command that answers with lines for people as
// such, so that a terminal shows lines and not one quoted string. RESP3 servers
// do so themselves.
func markText(words []string, r *reply) {
	if r.kind != kindBulk {
		return
	}
	name := strings.ToUpper(words[0])
	if len(words) > 1 {
		name += " " + strings.ToUpper(words[1])
	}
	switch name {
	case "LATENCY DOCTOR", "LATENCY GRAPH", "MEMORY DOCTOR", "MEMORY MALLOC-STATS", "CLUSTER NODES", "CLUSTER INFO",
		"CLIENT LIST", "CLIENT INFO", "DEBUG HTSTATS", "DEBUG HTSTATS-KEY":
		r.kind = kindVerbatim
	}
	if w, _, _ := strings.Cut(name, " "); w == "INFO" || w == "LOLWUT" {
		r.kind = kindVerbatim
	}
}

// stream prints replies until the connection ends, which is its error, or an
// error reply comes.
func stream(c *conn, p *printer) (int, error) {
	for {
		r, err := c.rr.read()
		if err != nil {
			c.close()
			return exitConn, fmt.Errorf("%w (%w)", errStreamEnded, unwrapOp(err))
		}
		if code := p.reply(&r); code != exitOK {
			return code, nil
		}
		if c.rr.br.Buffered() == 0 {
			if err := p.flush(); err != nil {
				return exitError, nil // run reports it
			}
		}
	}
}

var errStreamEnded = errors.New("the connection ended")

func isStream(words []string) bool {
	switch strings.ToUpper(words[0]) {
	case "MONITOR", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE":
		return true
	}
	return false
}

func isShutdown(words []string) bool { return strings.EqualFold(words[0], "SHUTDOWN") }
