package server

import (
	"math/rand"
	"strings"
	"testing"

	"dkv/server/command"
)

// TestRandomCommands sends every command with arguments of all kinds: each
// must get one whole reply, and none may fail inside.
func TestRandomCommands(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	skip := map[string]bool{ // no reply, or a late one, or the end
		"shutdown": true, "quit": true, "monitor": true, "client|reply": true, "client|pause": true, "client|kill": true,
		"debug": true, "wait": true, "save": true, "bgsave": true, "config|set": true, "config|rewrite": true,
	}
	words := []string{
		"k", "a", "b", "0", "1", "-1", "100", "9223372036854775807", "-9223372036854775808", "1.5", "inf", "nan", "", "*",
		"EX", "PX", "NX", "XX", "GT", "LT", "GET", "KEEPTTL", "MATCH", "COUNT", "TYPE", "string", "DB", "REPLACE", "LEN", "IDX",
		"on", "off", "id", "AUTH", "SETNAME", "foo", "help", "\x00\xff\r\n", strings.Repeat("x", 5000),
	}
	s := startServer(t)
	c := dial(t, s)
	for range 3000 {
		all := command.All()
		spec := all[rng.Intn(len(all))]
		if skip[spec.Name] || skip[strings.Split(spec.Name, "|")[0]] {
			continue
		}
		req := strings.Split(spec.Name, "|")
		n := max(spec.Arity, -spec.Arity) + rng.Intn(4) - rng.Intn(2)
		for len(req) < n {
			req = append(req, words[rng.Intn(len(words))])
		}
		if spec.Timeout != nil { // no long waits
			at := len(req) - 1
			if strings.HasSuffix(spec.Name, "mpop") {
				at = 1
			}
			req[at] = []string{"0.001", "x", "-1"}[rng.Intn(3)]
		}
		reply := c.do(req...)
		if strings.Contains(reply, "internal error") {
			t.Fatalf("%q: %q", req, reply)
		}
	}
}
