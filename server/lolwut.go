package server

import (
	"math/rand/v2"
	"strings"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() { bind("lolwut", lolwut) }

// lolwut draws a maze of diagonals, different each time, and tells the version.
// VERSION n is accepted; there is one drawing.
func lolwut(c *Conn, x *command.Ctx) error {
	if len(x.Args) >= 3 && equalFold(x.Args[1], "version") {
		if _, ok := keyspace.ParseInt(x.Args[2]); !ok {
			return resp.ErrNotInt
		}
	}
	const rows, columns = 8, 40
	var b strings.Builder
	for range rows {
		for range columns {
			b.WriteRune([]rune("╱╲")[rand.IntN(2)])
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nRedis ver. " + RedisVersion + ", dkv " + c.srv.version + "\n")
	x.Out.Verbatim("txt", b.String())
	return nil
}
