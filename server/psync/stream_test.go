package psync

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"dkv/cluster/raftlog"
	"dkv/cluster/replica"
	"dkv/cluster/shard"
	"dkv/engine/keyspace/keyspacetest"
)

// What has piled up in a spool is applied in whole batches, however the reader comes by
// it: entry by entry of a few commands a replica of a busy source would never catch up.
func TestStreamFillsBatches(t *testing.T) {
	l := &local{store: keyspacetest.New(t)}
	f, err := os.Create(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var commands bytes.Buffer
	const n = 3 * batchCommands / 2
	for i := range n {
		value := bytes.Repeat([]byte{'v'}, 200)
		fmt.Fprintf(&commands, "*3\r\n$3\r\nSET\r\n$8\r\nkey%05d\r\n$200\r\n%s\r\n", i, value)
	}
	s := newSpool(f)
	if _, err := s.Write(commands.Bytes()); err != nil {
		t.Fatal(err)
	}
	s.end(io.EOF)
	start := shard.SourcePosition{History: historyPrefix + replID}
	l.at = start
	c := &conversation{
		f: newFollower(t).Follower, l: linkOf([]*local{l}, func(f func(*replica.LinkStatus)) { f(new(replica.LinkStatus)) }),
		locals: locals([]*local{l}), at: []shard.SourcePosition{start}, next: start,
	}
	size := commands.Len()
	if err := c.stream(t.Context(), s); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	if got, want := l.at.Index, raftlog.Index(size); got != want {
		t.Errorf("at %d, want %d", got, want)
	}
	if got := l.do(t, fmt.Sprintf("STRLEN key%05d", n-1)); got != ":200 " {
		t.Errorf("the last key has %q", got)
	}
	if want := 1 + size/batchBytes; l.steps > want {
		t.Errorf("%d bytes took %d entries, want at most %d", size, l.steps, want)
	}
}
