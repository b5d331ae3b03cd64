package server

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/cluster"
)

func loopSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("DKV_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("DKV_SEED: %v", err)
		}
		seed = v
	}
	t.Logf("seed %d (set DKV_SEED to repeat)", seed)
	return seed
}

// TestLoopCarriesOn: a client that has to wait holds up nobody on its loop, of
// which there is one here.
func TestLoopCarriesOn(t *testing.T) {
	s := startServer(t, "event-loops", "1")
	a, b, c := dial(t, s), dial(t, s), dial(t, s)
	a.roundTrip("CLIENT PAUSE 1000000 WRITE\r\n", "+OK\r\n")
	b.send("PING\r\nSET k b\r\nPING\r\n")
	b.expect("+PONG\r\n")
	c.roundTrip("GET k\r\n", "$-1\r\n")
	a.roundTrip("PING\r\n", "+PONG\r\n")
	a.roundTrip("CLIENT UNPAUSE\r\n", "+OK\r\n")
	b.expect("+OK\r\n+PONG\r\n")
	c.roundTrip("GET k\r\n", "$1\r\nb\r\n")
}

// TestLoopSlowReader: so does one that does not read its replies, and it gets
// them all when it does.
func TestLoopSlowReader(t *testing.T) {
	s := startServer(t, "event-loops", "1")
	slow, other := dial(t, s), dial(t, s)
	value := strings.Repeat("v", 1<<20)
	other.roundTrip(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n", len(value), value), "+OK\r\n")
	const n = 2*maxPendingOutput>>20 + 10
	for range n {
		slow.send("SET x 1\r\nGET k\r\n")
	}
	for range 100 {
		other.roundTrip("SET y 1\r\nGET y\r\n", "+OK\r\n$1\r\n1\r\n")
	}
	want := fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n", len(value), value)
	for range n {
		slow.expect(want)
	}
	slow.roundTrip("PING\r\n", "+PONG\r\n")
}

// TestLoopEndlessClient: nor does one that sends faster than it can be served.
func TestLoopEndlessClient(t *testing.T) {
	s := startServer(t, "event-loops", "1")
	endless, other := dial(t, s), dial(t, s)
	done := make(chan struct{})
	var reading, writing sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, endless.Conn) })
	writing.Go(func() {
		requests := []byte(strings.Repeat("PING\r\n", 64<<10))
		for {
			select {
			case <-done:
				return
			default:
				if _, err := endless.Conn.Write(requests); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 50 {
		other.roundTrip("SET y 1\r\nGET y\r\n", "+OK\r\n$1\r\n1\r\n")
	}
	close(done)
	writing.Wait()
	if err := endless.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	reading.Wait()
}

// TestLoopHalfClose: a client that has closed its side gets the replies to all that
// it had sent.
func TestLoopHalfClose(t *testing.T) {
	s := startServer(t, "event-loops", "1")
	for range 100 {
		c := dial(t, s)
		c.send("SET k 1\r\nINCR k\r\nMULTI\r\nINCR k\r\nEXEC\r\nGET k\r\nSET l 1\r\n")
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.expect("+OK\r\n:2\r\n+OK\r\n+QUEUED\r\n*1\r\n:3\r\n$1\r\n3\r\n+OK\r\n")
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Fatalf("after the replies: %v", err)
		}
		c.Close()
	}
	waitClients(t, s, 0)
}

// waitClients waits until so many clients are connected.
func waitClients(t *testing.T, s *Server, n int) {
	t.Helper()
	for deadline := time.Now().Add(ioTimeout); s.ClientCount() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d clients, want %d", s.ClientCount(), n)
		}
	}
}

// TestLoopKill: a connection that waits for its client is closed by another one's
// command, one whose command runs as well.
func TestLoopKill(t *testing.T) {
	for _, loops := range []string{"0", "1"} {
		t.Run(loops, func(t *testing.T) {
			s := startServer(t, "event-loops", loops)
			a, idle, waiting := dial(t, s), dial(t, s), dial(t, s)
			idle.roundTrip("CLIENT ID\r\n", ":2\r\n")
			waiting.roundTrip("CLIENT ID\r\n", ":3\r\n")
			a.roundTrip("CLIENT PAUSE 1000000 WRITE\r\n", "+OK\r\n")
			waiting.send("PING\r\nSET k b\r\n")
			waiting.expect("+PONG\r\n")
			a.roundTrip("CLIENT KILL ID 2\r\nCLIENT KILL ID 3\r\n", ":1\r\n:1\r\n")
			for _, c := range []*client{idle, waiting} {
				if b, err := c.r.ReadByte(); err != io.EOF {
					t.Fatalf("a killed client reads %q, %v", b, err)
				}
			}
			waitClients(t, s, 1)
			a.roundTrip("CLIENT UNPAUSE\r\nGET k\r\n", "+OK\r\n$-1\r\n")
		})
	}
}

// TestLoopClose: Close lets running commands finish, and ends clients that are idle,
// half-way through a request, or do not read.
func TestLoopClose(t *testing.T) {
	for _, loops := range []string{"0", "1", "3"} {
		t.Run(loops, func(t *testing.T) {
			s := startServer(t, "event-loops", loops)
			idle, half, monitor := dial(t, s), dial(t, s), dial(t, s)
			idle.roundTrip("PING\r\n", "+PONG\r\n")
			half.roundTrip("PING\r\n", "+PONG\r\n")
			half.send("*2\r\n$3\r\nGET\r\n$10\r\nabc")
			monitor.roundTrip("MONITOR\r\n", "+OK\r\n")
			ctx, cancel := context.WithTimeout(context.Background(), ioTimeout)
			defer cancel()
			if err := s.Close(ctx); err != nil {
				t.Fatal(err)
			}
			for _, c := range []*client{idle, half, monitor} {
				if b, err := c.r.ReadByte(); err != io.EOF && !isReset(err) {
					t.Errorf("after Close a client reads %q, %v", b, err)
				}
			}
		})
	}
}

// TestLoopFragments: requests of all kinds, cut into pieces anywhere and sent
// without waiting for replies, by clients that come and go.
func TestLoopFragments(t *testing.T) {
	seed := loopSeed(t)
	for _, at := range []struct {
		loops  string
		shards int
	}{{"0", 1}, {"1", 1}, {"2", 1}, {"1", 4}, {"2", 4}} {
		t.Run(fmt.Sprintf("Loops%sShards%d", at.loops, at.shards), func(t *testing.T) {
			node, err := cluster.Open(cluster.Options{Diskless: true, Shards: at.shards})
			if err != nil {
				t.Fatal(err)
			}
			s := serveNode(t, node, "event-loops", at.loops)
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(seed, uint64(i)))
					for range 6 {
						if err := fragments(s, rng, strings.Repeat("k", 40)+strconv.Itoa(i)); err != nil {
							t.Errorf("client %d: %v", i, err)
							return
						}
					}
				})
			}
			wg.Wait()
			waitClients(t, s, 0)
		})
	}
}

// fragments is one connection's life.
func fragments(s *Server, rng *rand.Rand, key string) error {
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		return err
	}
	var send, want strings.Builder
	counts := make([]int, 5) // of so many keys, which are in different shards
	for k := range counts {
		fmt.Fprintf(&send, "DEL %s:%d\r\n", key, k)
	}
	requests, piece, kinds := 50+rng.IntN(200), 200, 8
	if rng.IntN(2) == 0 {
		requests, piece = 10*requests, 1<<20 // full buffers
	}
	if rng.IntN(2) == 0 {
		kinds = 3 // writes alone, which wait for their commit on the round's list
	}
	for range requests {
		k := rng.IntN(len(counts))
		key, count := fmt.Sprintf("%s:%d", key, k), &counts[k]
		switch rng.IntN(kinds) {
		case 0, 1, 2:
			*count++
			fmt.Fprintf(&send, "INCR %s\r\n", key)
			fmt.Fprintf(&want, ":%d\r\n", *count)
		case 3, 4:
			fmt.Fprintf(&send, "GET %s\r\n", key)
			if n := strconv.Itoa(*count); *count > 0 {
				fmt.Fprintf(&want, "$%d\r\n%s\r\n", len(n), n)
			} else {
				want.WriteString("$-1\r\n")
			}
		case 5:
			send.WriteString("ECHO hello\r\n")
			want.WriteString("$5\r\nhello\r\n")
		case 6:
			*count += 2
			fmt.Fprintf(&send, "MULTI\r\nINCR %s\r\nINCR %s\r\nEXEC\r\n", key, key)
			fmt.Fprintf(&want, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:%d\r\n:%d\r\n", *count-1, *count)
		case 7:
			fmt.Fprintf(&send, "GETRANGE %s 5 -1\r\nNOSUCH\r\n", key)
			want.WriteString("$0\r\n\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n")
		}
	}
	sent := make(chan error, 1)
	go func() {
		all := []byte(send.String())
		for len(all) > 0 {
			n := min(1+rng.IntN(piece), len(all))
			if _, err := nc.Write(all[:n]); err != nil {
				sent <- err
				return
			}
			all = all[n:]
		}
		sent <- nil
	}()
	// The replies to DEL depend on the life before.
	skip := len(counts) * len(":0\r\n")
	got := make([]byte, skip+want.Len())
	if n, err := io.ReadFull(nc, got); err != nil {
		return fmt.Errorf("got %.200q, %w", got[:n], err)
	}
	if err := <-sent; err != nil {
		return err
	}
	if g := string(got[skip:]); g != want.String() {
		return fmt.Errorf("got  %q\nwant %q", g, want.String())
	}
	return nil
}

// TestMonitorAtOnce: what is sent after MONITOR was answered is shown.
func TestMonitorAtOnce(t *testing.T) {
	s := startServer(t)
	other := dial(t, s)
	for i := range 300 {
		m := dial(t, s)
		m.roundTrip("MONITOR\r\n", "+OK\r\n")
		other.roundTrip(fmt.Sprintf("ECHO %d\r\n", i), fmt.Sprintf("$%d\r\n%d\r\n", len(strconv.Itoa(i)), i))
		line, err := m.r.ReadString('\n')
		if want := fmt.Sprintf("\"ECHO\" \"%d\"\r\n", i); err != nil || !strings.HasSuffix(line, want) {
			t.Fatalf("monitor %d shows %q (%v), want %q", i, line, err, want)
		}
		m.Close()
	}
}
