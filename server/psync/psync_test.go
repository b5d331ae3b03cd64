package psync

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/raftsnap"
	"dkv/cluster/replica"
	"dkv/cluster/shard"
	"dkv/engine/keyspace"
	"dkv/engine/keyspace/keyspacetest"
	"dkv/resp"
	"dkv/server/command"
	"dkv/server/rdb"
)

// local is a shard over a store in memory.
type local struct {
	store *keyspacetest.Store
	at    shard.SourcePosition
	steps int
	crash *crash // nil: never
}

func (l *local) Source() (shard.SourcePosition, bool) { return l.at, l.at.History != "" }

func (l *local) Evaluate(ctx context.Context, t *shard.Task) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !t.Step.Anew && t.Step.From != l.at {
		return shard.ErrSourceMoved
	}
	if l.crash != nil {
		if err := l.crash.step(); err != nil {
			return err
		}
	}
	t.Step.Err = nil
	l.store.Write(func(tx *keyspace.Tx) {
		mark := tx.Mark()
		if t.Eval(tx); t.Step.Err != nil {
			tx.Rollback(mark)
		}
	})
	if t.Step.Err == nil {
		l.at = t.Step.To
		l.steps++
	}
	return t.Step.Err
}

func (l *local) Apply(context.Context, *shard.SourceBatch) error {
	return errors.New("not in this test")
}
func (l *local) BeginCopy(uint64, shard.SourcePosition, uint64) (*raftsnap.Receiver, error) {
	return nil, errors.New("not in this test")
}
func (l *local) EndCopy(context.Context, *raftsnap.Receiver) error {
	return errors.New("not in this test")
}
func (l *local) Durable() bool { return true }

// do runs a command over the store and returns its reply.
func (l *local) do(t *testing.T, words string) string {
	t.Helper()
	var args [][]byte
	for w := range strings.SplitSeq(words, " ") {
		args = append(args, []byte(w))
	}
	var out resp.Writer
	x := command.Ctx{Args: args, Spec: command.Lookup(args[0]), Out: &out}
	l.store.Read(func(tx *keyspace.Tx) {
		x.Tx = tx
		if err := x.Spec.Handler(&x); err != nil {
			t.Errorf("%s: %v", words, err)
		}
	})
	return strings.ReplaceAll(string(out.Buf), "\r\n", " ")
}

// follow has a follower follow a source that replies to PSYNC with what serve writes.
// It returns why that ended, and what the source was sent.
func follow(t testing.TB, l *local, serve func(w io.Writer, psync string)) (status replica.LinkStatus, said string, err error) {
	t.Helper()
	return followAll(t, []*local{l}, serve)
}

func followAll(t testing.TB, all []*local, serve func(w io.Writer, psync string)) (status replica.LinkStatus, said string, err error) {
	t.Helper()
	return newFollower(t).follow(t, all, serve)
}

type testFollower struct {
	*Follower
	dir string
}

func newFollower(t testing.TB) testFollower {
	dir := t.TempDir()
	return testFollower{New(Options{Folder: dir, Pause: time.Nanosecond, Scripts: testScripts()}), dir}
}

func (f testFollower) follow(t testing.TB, all []*local, serve func(w io.Writer, psync string)) (status replica.LinkStatus, said string, err error) {
	t.Helper()
	var heard bytes.Buffer
	var mu sync.Mutex // status
	ended := make(chan struct{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		here, err := (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
		if err != nil {
			return nil, err
		}
		there, err := ln.Accept()
		if err != nil {
			return nil, err
		}
		go func() {
			defer close(ended)
			defer there.Close()
			r := bufio.NewReader(io.TeeReader(there, &heard))
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				switch line = strings.TrimSpace(line); line {
				case "PING", "REPLCONF":
					fmt.Fprint(there, "+OK\r\n")
				case "PSYNC":
					var words []string
					for range 4 {
						word, _ := r.ReadString('\n')
						words = append(words, strings.TrimSpace(word))
					}
					read := make(chan struct{})
					go func() {
						io.Copy(io.Discard, r)
						close(read)
					}()
					serve(there, words[1]+" "+words[3])
					there.(*net.TCPConn).CloseWrite()
					<-read
					return
				}
			}
		}()
		return here, nil
	}
	link := linkOf(all, func(f func(*replica.LinkStatus)) {
		mu.Lock()
		defer mu.Unlock()
		f(&status)
	})
	link.Dial = dial
	if err := os.WriteFile(filepath.Join(f.dir, dataFile), []byte("of a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = f.Follow(t.Context(), link)
	<-ended
	if files, readErr := os.ReadDir(f.dir); readErr != nil || len(files) != 0 {
		t.Errorf("files are left: %v, %v", files, readErr)
	}
	return status, heard.String(), err
}

// linkOf is a link of shards that is never dialled.
func linkOf(all []*local, update func(func(*replica.LinkStatus))) *replica.ForeignLink {
	return &replica.ForeignLink{
		LinkOptions: &replica.LinkOptions{
			Shards: len(all), Local: all[0], All: locals(all), Read: readLocal(all), Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
			Auth: func() (string, string) { return "", "" }, Addr: func() string { return "127.0.0.1:1" },
			Timeout: func() time.Duration { return 5 * time.Second }, Interval: func() time.Duration { return 0 },
		},
		Addr: "source:1", Update: update,
	}
}

func locals(all []*local) (out []replica.Local) {
	for _, l := range all {
		out = append(out, l)
	}
	return out
}

const replID = "0123456789012345678901234567890123456789"

// file is an RDB file with a string and a hash of so many fields.
func file(t testing.TB, fields int) []byte {
	var b bytes.Buffer
	w := rdb.NewWriter(&b)
	w.Select(2, 2, 0)
	w.Key([]byte("s"), rdb.TypeString, rdb.AppendString(nil, []byte("hello")), 0)
	h := rdb.AppendLength(nil, uint64(fields))
	for i := range fields {
		h = rdb.AppendString(rdb.AppendString(h, fmt.Appendf(nil, "field%d", i)), fmt.Appendf(nil, "value%d", i))
	}
	w.Key([]byte("h"), rdb.TypeHash, h, 4_000_000_000_000)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const commands = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*1\r\n$4\r\nPING\r\n" +
	"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n"

// TestFollow loads a file, both ways of sending it, and applies what comes behind it;
// then it goes on from there.
func TestFollow(t *testing.T) {
	mark := strings.Repeat("0123456789", 4)
	for name, frame := range map[string]func(w io.Writer, b []byte){
		"size": func(w io.Writer, b []byte) { fmt.Fprintf(w, "\n\n$%d\r\n%s", len(b), b) },
		"mark": func(w io.Writer, b []byte) {
			fmt.Fprintf(w, "\n$EOF:%s\r\n%s", mark, b)
			fmt.Fprint(w, mark[:17])
			fmt.Fprint(w, mark[17:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := &local{store: keyspacetest.New(t)}
			l.store.Write(func(tx *keyspace.Tx) {
				e, _ := tx.Find(0, []byte("before"))
				tx.SetString(&e, []byte("x"), 0, keyspace.FormAuto)
			})
			status, said, err := follow(t, l, func(w io.Writer, psync string) {
				if psync != "? -1" {
					t.Errorf("PSYNC %s", psync)
				}
				fmt.Fprintf(w, "+FULLRESYNC %s 1000\r\n", replID)
				frame(w, file(t, 30000))
				fmt.Fprint(w, commands)
			})
			if err == nil || !strings.Contains(err.Error(), "closed the connection") {
				t.Errorf("%v", err)
			}
			want := shard.SourcePosition{History: historyPrefix + replID}
			want.Index = 1000 + raftlog.Index(len(commands))
			if l.at != want || status.At != want.Index || status.Full != 1 || !status.Up {
				t.Errorf("at %+v, want %+v; %+v", l.at, want, status)
			}
			if !strings.Contains(said, "REPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n") {
				t.Errorf("the source has not heard that it may send commands: %q", said)
			}
			if got := l.do(t, "GET a"); got != "$1 3 " {
				t.Errorf("a is %q", got)
			}
			if got := l.do(t, "EXISTS before"); got != ":0 " {
				t.Error("what was there before is there still")
			}
			steps := l.steps
			if steps < 5 {
				t.Errorf("%d steps: a large value was loaded at once", steps)
			}
			status, _, err = follow(t, l, func(w io.Writer, psync string) {
				if want := fmt.Sprintf("%s %d", replID, want.Index+1); psync != want {
					t.Errorf("PSYNC %s, want %s", psync, want)
				}
				other := strings.Repeat("f", 40)
				fmt.Fprintf(w, "+CONTINUE %s\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n", other)
			})
			if got := l.do(t, "GET a"); err == nil || got != "$1 4 " || status.Partial != 1 || l.at.History != historyPrefix+strings.Repeat("f", 40) {
				t.Errorf("a is %q, %+v, %v", got, status, err)
			}
		})
	}
}

// TestKeysExpireWithTheSource: what has expired by the clock is there for the source's
// commands.
func TestKeysExpireWithTheSource(t *testing.T) {
	l := &local{store: keyspacetest.New(t), at: shard.SourcePosition{History: historyPrefix + replID}}
	send := func(lines ...string) {
		t.Helper()
		follow(t, l, func(w io.Writer, _ string) {
			fmt.Fprint(w, "+CONTINUE\r\n")
			for _, line := range lines {
				words := strings.Split(line, " ")
				fmt.Fprintf(w, "*%d\r\n", len(words))
				for _, word := range words {
					fmt.Fprintf(w, "$%d\r\n%s\r\n", len(word), word)
				}
			}
		})
	}
	past := fmt.Sprint(l.store.Now - 1000)
	send("SET a 5 PXAT "+past, "INCR a", "SET b 1", "PEXPIREAT b "+past, "PERSIST b", "SET c 1", "GETEX c PXAT "+past)
	if got := l.do(t, "GET a") + l.do(t, "GET b") + l.do(t, "GET c"); got != "$-1 $1 1 $-1 " {
		t.Errorf("to readers: %q", got)
	}
	send("PERSIST a", "PERSIST c")
	if got := l.do(t, "GET a") + l.do(t, "GET c"); got != "$1 6 $1 1 " {
		t.Errorf("after PERSIST: %q", got)
	}
}

// TestFailures: errors that are told, and what they leave.
func TestFailures(t *testing.T) {
	full := "+FULLRESYNC " + replID + " 0\r\n"
	stop := func(cmd string) string { return "+CONTINUE\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n" + cmd }
	list := "REDIS0009\x01\x01k\x01\x01a\xff"
	zero := strings.Repeat("\x00", 8)
	expiring := "REDIS0012\xfe\x40\x63\x18\x01k" + zero + "\x01\x05\x01a\x01b\xf5\x04code\xff" + zero
	for name, tc := range map[string]struct {
		begun bool
		send  string
		want  string
		kept  string // what is left of "a"
	}{
		"an error":         {false, "-NOMASTERLINK no\r\n", "NOMASTERLINK", "old"},
		"nonsense":         {false, "hello\r\n", "answered with", "old"},
		"a bad offset":     {false, "+FULLRESYNC " + replID + " x\r\n", "speak", "old"},
		"a bad id":         {false, "+FULLRESYNC x 1\r\n", "replication id", "old"},
		"no data":          {false, full, "EOF", "old"},
		"an error in data": {false, full + "-ERR no disk\r\n", "no disk", "old"},
		"a bad size":       {false, full + "$x\r\n", "length", "old"},
		"half of the data": {false, full + "$100\r\nREDIS", "unexpected EOF", "old"},
		"broken data":      {false, full + "$5\r\nREDIS", "not an RDB file", "old"},
		"a later version":  {false, full + "$9\r\nREDIS0099", "version 99", "old"},
		"no checksum":      {false, full + fmt.Sprintf("$%d\r\n%s", len(list), list), "bad data format", "old"},
		"what is not there": {false, full + fmt.Sprintf("$%d\r\n%s", len(expiring), expiring),
			`databases above 15 (for example "k"), functions that cannot be loaded: library "": ERR Missing library metadata; nothing was changed here`, "old"},
		"unknown command": {true, stop("*1\r\n$4\r\nNOPE\r\n"), `"NOPE"`, "1"},
		"a reading one":   {true, stop("*2\r\n$3\r\nGET\r\n$1\r\na\r\n"), `"GET"`, "1"},
		"arity":           {true, stop("*2\r\n$3\r\nSET\r\n$1\r\na\r\n"), "1 arguments", "1"},
		"a failing one":   {true, stop("*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*4\r\n$4\r\nHSET\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n"), "WRONGTYPE", "2"},
		"no protocol":     {true, stop("*x\r\n"), "protocol", "1"},
		"a far database":  {true, stop("*2\r\n$6\r\nSELECT\r\n$2\r\n99\r\n"), "SELECT", "1"},
		"half of MULTI":   {true, stop("*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"), "closed the connection", "1"},
		"EXEC alone":      {true, stop("*1\r\n$4\r\nEXEC\r\n"), "EXEC without MULTI", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &local{store: keyspacetest.New(t)}
			l.store.Write(func(tx *keyspace.Tx) {
				e, _ := tx.Find(0, []byte("a"))
				tx.SetString(&e, []byte("old"), 0, keyspace.FormAuto)
			})
			if tc.begun {
				l.at.History = historyPrefix + replID
			}
			_, _, err := follow(t, l, func(w io.Writer, _ string) { io.WriteString(w, tc.send) })
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
			if got := l.do(t, "GET a"); got != fmt.Sprintf("$%d %s ", len(tc.kept), tc.kept) {
				t.Errorf("a is %q", got)
			}
		})
	}
}

// FuzzSource has a source send anything.
func FuzzSource(f *testing.F) {
	whole := file(f, 3)
	f.Add([]byte(fmt.Sprintf("+FULLRESYNC %s 1\r\n$%d\r\n%s%s", replID, len(whole), whole, commands)))
	f.Add([]byte("+CONTINUE\r\n" + commands))
	f.Add(append([]byte("+CONTINUE\r\n"), streamOf(across)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &local{store: keyspacetest.New(t), at: shard.SourcePosition{History: historyPrefix + replID}}
		three, _ := shards(t, 3)
		startAt(three, 0)
		for _, all := range [][]*local{{l}, three} {
			_, _, err := followAll(t, all, func(w io.Writer, _ string) { w.Write(b) })
			if err == nil || strings.Contains(err.Error(), "a failure of dkv") {
				t.Errorf("%d shards: %v", len(all), err)
			}
		}
	})
}

// TestSpool: a queue on disk keeps order, takes its space back, and blocks at its limit.
func TestSpool(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/spool")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := newSpool(f)
	s.limit = 1000
	want := bytes.Repeat([]byte("0123456789abcdef"), 5000)
	done := make(chan error, 1)
	go func() {
		for i := 0; i < len(want); i += 100 {
			if _, err := s.Write(want[i : i+100]); err != nil {
				done <- err
				return
			}
		}
		s.end(io.EOF)
		done <- nil
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.abandon()
	if _, err := s.Write(want[:2000]); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("after the reader has gone: %v", err)
	}
}
