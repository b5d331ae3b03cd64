package server

import (
	"bytes"
	"fmt"
	"io"
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
