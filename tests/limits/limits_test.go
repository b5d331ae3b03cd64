package limits

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const replyLimit = 2 * time.Minute

// A value of 512 MiB can be set and read back; one byte more cannot.
func TestLargestValue(t *testing.T) {
	harness.NeedLong(t)
	const size = 512 << 20
	srv := harness.Dkv(t, "-fsync", "everysec")
	c := srv.Dial(t)
	c.SetDeadline(time.Now().Add(replyLimit))

	send := func(bytes int64) []byte {
		digest := sha256.New()
		header := fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", bytes)
		if err := c.Send(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.MultiWriter(c, digest), newNoise(), bytes); err != nil {
			t.Fatalf("%v\n%s", err, srv.Logs())
		}
		if err := c.Send("\r\n"); err != nil {
			t.Fatal(err)
		}
		return digest.Sum(nil)
	}
	sent := send(size)
	if r, err := c.Read(); err != nil || string(r.Raw) != "+OK\r\n" {
		t.Fatalf("SET: %s, %v", r, err)
	}
	c.Queue("GET", "big")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if line, err := c.Reader().ReadString('\n'); err != nil || line != fmt.Sprintf("$%d\r\n", size) {
		t.Fatalf("GET: %q, %v", line, err)
	}
	digest := sha256.New()
	if _, err := io.CopyN(digest, c.Reader(), size); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sent, digest.Sum(nil)) {
		t.Error("the value came back as another")
	}
	if _, err := c.Reader().Discard(2); err != nil {
		t.Fatal(err)
	}
	c.Want(":536870912\r\n", "STRLEN", "big")
	c.Want("-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n", "APPEND", "big", "x")
	c.Want(":1\r\n", "DEL", "big")

	if err := c.Send(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", size+1)); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Read(); err != nil || string(r.Raw) != "-ERR Protocol error: invalid bulk length\r\n" {
		t.Errorf("a byte too many: %s, %v", r, err)
	}
}

// noise is an endless stream of bytes that repeats late.
type noise struct {
	block []byte
	at    int
}

func newNoise() *noise {
	block := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{7})
	source.Read(block)
	return &noise{block: block}
}

func (n *noise) Read(p []byte) (int, error) {
	k := copy(p, n.block[n.at:])
	n.at = (n.at + k) % len(n.block)
	return k, nil
}

// A thousand connections are served at once.
func TestManyConnections(t *testing.T) {
	const connections = 1000
	srv := harness.Dkv(t, "-fsync", "everysec")
	conns := make([]*harness.TestConn, connections)
	for i := range conns {
		conns[i] = srv.Dial(t)
		conns[i].OK("CLIENT", "SETNAME", "c"+strconv.Itoa(i))
	}
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			for range 20 {
				if _, err := c.Call("INCR", "n:"+strconv.Itoa(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, c := range conns {
		c.Want("$2\r\n20\r\n", "GET", "n:"+strconv.Itoa(i))
	}
	if got := conns[0].Info("clients")["connected_clients"]; got != strconv.Itoa(connections) {
		t.Errorf("connected_clients is %s", got)
	}
}

func TestMaxClients(t *testing.T) {
	const limit = 10
	srv := harness.Dkv(t, "-maxclients", strconv.Itoa(limit))
	var conns []*harness.TestConn
	for range limit {
		c := srv.Dial(t)
		c.Want("+PONG\r\n", "PING")
		conns = append(conns, c)
	}
	over := srv.Dial(t)
	over.SetDeadline(time.Now().Add(replyLimit))
	got, err := io.ReadAll(over.Reader())
	if err != nil || string(got) != "-ERR max number of clients reached\r\n" {
		t.Errorf("one client too many: %q, %v", got, err)
	}
	conns[0].Close()
	harness.Until(t, replyLimit, "room for another client", func() bool {
		c, err := harness.Dial(srv.Addr())
		if err != nil {
			return false
		}
		defer c.Close()
		r, err := c.Call("PING")
		return err == nil && string(r.Raw) == "+PONG\r\n"
	})
}

// A client that does nothing is sent away after the timeout, one that does
// something is not.
func TestIdleTimeout(t *testing.T) {
	srv := harness.Dkv(t, "-timeout", "1")
	idle, busy := srv.Dial(t), srv.Dial(t)
	idle.Want("+PONG\r\n", "PING")
	var closed atomic.Bool
	go func() {
		idle.SetDeadline(time.Now().Add(replyLimit))
		_, err := idle.Read()
		closed.Store(errors.Is(err, io.EOF))
	}()
	harness.Until(t, 10*time.Second, "the idle connection to be closed", func() bool {
		busy.Want("+PONG\r\n", "PING")
		return closed.Load()
	})
}

// A pipeline of any depth is answered, whole and in order, by a client that
// writes all before it reads, as long as the operating system holds the replies.
func TestDeepPipeline(t *testing.T) {
	const depth = 200_000
	srv := harness.Dkv(t, "-fsync", "everysec")
	c := srv.Dial(t)
	c.SetDeadline(time.Now().Add(replyLimit))
	for range depth {
		c.Queue("INCR", "n")
	}
	flushed := make(chan error, 1)
	go func() { flushed <- c.Flush() }()
	for i := range depth {
		r, err := c.Read()
		if n, ok := r.Int(); err != nil || !ok || n != int64(i+1) {
			t.Fatalf("reply %d is %s, %v", i+1, r, err)
		}
	}
	if err := <-flushed; err != nil {
		t.Error(err)
	}
}

// A client that asks and does not read costs bounded memory, and costs others
// nothing.
func TestClientThatDoesNotRead(t *testing.T) {
	harness.NeedItself(t) // Redis keeps all replies unless told otherwise
	const (
		value     = 1 << 20
		requests  = 2000
		maxGrowth = 400 << 20
	)
	srv := harness.Dkv(t, "-fsync", "everysec")
	other := srv.Dial(t)
	other.OK("SET", "big", strings.Repeat("x", value))
	before := resident(t, srv.PID())
	deaf := srv.Dial(t)
	for range requests {
		deaf.Queue("GET", "big")
	}
	deaf.SetDeadline(time.Now().Add(replyLimit))
	go deaf.Flush() // blocks when the server stops reading, which is allowed

	for i := range 2000 {
		other.Want(":"+strconv.Itoa(i+1)+"\r\n", "INCR", "n")
	}
	if grown := resident(t, srv.PID()) - before; grown > maxGrowth {
		t.Errorf("resident memory grew by %d MiB for one client that does not read", grown>>20)
	}
}

// resident returns a process's resident memory in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		harness.Missing(t, "a /proc: "+err.Error())
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
