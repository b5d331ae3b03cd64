// Package resp speaks the Redis serialization protocol: it parses requests
// (RESP2 multibulk and inline commands) and builds replies (RESP2 and RESP3).
//
// Writer appends replies to a byte slice; it does no I/O. Reader reads from a
// connection and hands out commands whose arguments point into its buffer.
// Error is a reply line; every error text that more than one place sends is a
// constant of errors.go, so that a text stands in one place and errors.Is
// works on it.
//
// One loop of a server:
//
//	r := resp.Reader{Limits: limits}
//	var w resp.Writer
//	for {
//		if err := r.Fill(conn); err != nil { ... } // one read from the network
//		for {
//			cmd, ok, err := r.Next()           // no I/O, no allocation
//			...
//			w.OK()
//		}
//		conn.Write(w.Buf)
//		w.Reset()
//	}
//
// Invariants: the memory of a Reader grows with bytes that were received, never
// with a length that was announced; no input makes it panic; the commands that
// come out do not depend on how the input was cut into reads.
//
// Protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/
package resp
