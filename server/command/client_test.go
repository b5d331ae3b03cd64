package command

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
	"dkv/resp"
)

// client runs commands over a store in memory, as the dispatcher does.
type client struct {
	lengthy func() // see Ctx
	tb      testing.TB
	store   *keyspacetest.Store
	db      int
	proto   int
	// maxString is proto-max-bulk-len.
	maxString int64
	limits    *Limits // nil: the default
	sharded   bool
	reaped    []byte // where the reaper stands
	kept      int64  // see Ctx.MaxKept
}

func newClient(tb testing.TB) *client {
	return &client{tb: tb, store: keyspacetest.New(tb), proto: 2}
}

// do runs a command and returns its reply in wire form.
func (c *client) do(args ...string) string {
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	spec := Lookup(raw[0])
	if spec == nil {
		return "-" + resp.ErrUnknownCommand(raw).Error() + "\r\n"
	}
	if spec.IsContainer() && len(raw) > 1 {
		sub := spec.Sub(raw[1])
		if sub == nil {
			return "-" + resp.ErrUnknownSubcommand(raw[1], spec.Name).Error() + "\r\n"
		}
		spec = sub
	}
	if !spec.GoodArity(len(raw)) {
		return "-" + resp.ErrWrongArity(spec.Name).Error() + "\r\n"
	}
	out := resp.Writer{Proto: c.proto}
	x := Ctx{Args: raw, DB: c.db, Out: &out, Spec: spec, MaxStringLen: c.maxString, Limits: c.limits, Sharded: c.sharded, Lengthy: c.lengthy, MaxKept: c.kept}
	run := func(tx *keyspace.Tx) {
		x.Tx = tx
		var mark keyspace.Mark
		if spec.Writes(raw) {
			mark = tx.Mark()
		}
		err := spec.Handler(&x)
		if err == nil {
			return
		}
		if spec.Writes(raw) {
			tx.Rollback(mark)
		}
		out.Reset()
		var reply resp.Error
		if !errors.As(err, &reply) {
			c.tb.Fatalf("%q: %v", args, err)
		}
		out.Error(reply.Error())
	}
	switch {
	case spec.Writes(raw):
		c.store.Write(run)
	case spec.WantsSnapshot(raw):
		c.store.Read(run)
	default:
		c.store.ReadLive(run)
	}
	return string(out.Buf)
}

// expect runs commands given as one line each and checks the replies, in a short
// form: see shorten.
func (c *client) expect(pairs ...string) {
	c.tb.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		if got := shorten(c.do(words(pairs[i])...)); got != pairs[i+1] {
			c.tb.Errorf("%s\n got %s\nwant %s", pairs[i], got, pairs[i+1])
		}
	}
}

// words splits a line at spaces; ” is an empty word and _ a space in a word.
func words(line string) []string {
	list := strings.Split(line, " ")
	for i, w := range list {
		if w == "''" {
			w = ""
		}
		list[i] = strings.ReplaceAll(w, "_", " ")
	}
	return list
}

// shorten makes a reply readable: bulk strings as they are, nil, [arrays], :1 as 1.
func shorten(reply string) string {
	text, rest := shortenOne(reply)
	if rest != "" {
		return fmt.Sprintf("%s and then %q", text, rest)
	}
	return text
}

func shortenOne(r string) (text, rest string) {
	line, rest, _ := strings.Cut(r, "\r\n")
	if line == "" {
		return "nothing", rest
	}
	n := 0
	fmt.Sscanf(line[1:], "%d", &n)
	switch line[0] {
	case '$':
		if n < 0 {
			return "nil", rest
		}
		return rest[:n], strings.TrimPrefix(rest[n:], "\r\n")
	case ':':
		return line[1:], rest
	case '*', '%', '~':
		if n < 0 {
			return "nil", rest
		}
		if line[0] == '%' {
			n *= 2
		}
		items := make([]string, n)
		for i := range items {
			items[i], rest = shortenOne(rest)
		}
		open := map[byte]string{'*': "[", '%': "%[", '~': "~["}[line[0]]
		return open + strings.Join(items, " ") + "]", rest
	case '_':
		return "null", rest
	}
	return line, rest
}
