package script

import (
	"testing"

	"dkv/resp"
	"dkv/server/command"
)

// BenchmarkEval measures what a script costs beside its commands: three calls of ECHO.
func BenchmarkEval(b *testing.B) {
	s := testState(b, false)
	e := s.run.engine
	e.giveBack(s)
	const source = "redis.call('echo', ARGV[1]) redis.call('echo', KEYS[1]) return redis.call('echo', 'x')"
	var out resp.Writer
	c := command.Ctx{
		Spec: command.Lookup([]byte("eval")), Out: &out, Tx: readTx(b),
		Args: [][]byte{[]byte("eval"), []byte(source), []byte("1"), []byte("key"), []byte("value")},
	}
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := e.Run(&c); err != nil {
			b.Fatal(err)
		}
	}
}
