package server

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"
)

// BenchmarkPipeline measures the whole way of a command through a socket, in
// one process with its client; the client allocates nothing.
func BenchmarkPipeline(b *testing.B) {
	for _, bb := range []struct{ name, send, want string }{
		{"GET", request("GET", "key:1"), "$3\r\nabc\r\n"},
		{"SET", request("SET", "key:1", "abc"), "+OK\r\n"},
		{"PING", "PING\r\n", "+PONG\r\n"},
	} {
		for _, depth := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/P%d", bb.name, depth), func(b *testing.B) {
				s := startServer(b)
				c := dial(b, s)
				c.roundTrip(request("SET", "key:1", "abc"), "+OK\r\n")
				send := bytes.Repeat([]byte(bb.send), depth)
				replies := make([]byte, depth*len(bb.want))
				b.ReportAllocs()
				for done := 0; done < b.N; done += depth {
					if _, err := c.Write(send); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(c.Conn, replies); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkShards measures pipelines of SET of many keys from several clients:
// more shards must not be slower than one.
func BenchmarkShards(b *testing.B) {
	const depth, clients = 32, 8
	for _, shards := range []int{1, 4} {
		for _, depth := range []int{1, depth} {
			b.Run(fmt.Sprintf("%d/P%d", shards, depth), func(b *testing.B) {
				s := startShards(b, shards)
				var wg sync.WaitGroup
				for n := range clients {
					c := dial(b, s)
					send := make([]byte, 0, 64*depth)
					for i := range depth {
						send = append(send, request("SET", fmt.Sprintf("key:%d:%d", n, i), "abc")...)
					}
					wg.Go(func() {
						replies := make([]byte, depth*len("+OK\r\n"))
						for done := 0; done < b.N/clients; done += depth {
							if _, err := c.Write(send); err != nil {
								b.Error(err)
								return
							}
							if _, err := io.ReadFull(c.Conn, replies); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}
