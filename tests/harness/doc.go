// Package harness starts the servers that the black-box suites talk to, and
// gives those suites what they share: free ports, readiness, cleaning up, a
// small RESP client that keeps the bytes of a reply, and conditions to wait on.
//
//	func TestMain(m *testing.M) { harness.Main(m) }
//
//	func TestSet(t *testing.T) {
//		srv := harness.Dkv(t)
//		c := srv.Dial(t)
//		if got := c.Do("SET", "k", "v"); string(got.Raw) != "+OK\r\n" { ... }
//	}
//
// The programs are built once per test process, into a folder that Main
// removes; DKV_BIN names a folder that has them already. DKV_SERVER names
// another server to put in dkvsrv's place; when it is a redis-server, the
// suites test Redis against themselves, which is how they were written.
//
// Invariants:
//   - A process that a test started is gone when the test is over, whether it
//     passed, failed or was killed. Processes are ended by their own id.
//   - Servers listen on loopback, on ports that the kernel called free.
//   - Nothing waits by sleeping for a guessed time: Until polls a condition.
//   - The client here does not use package resp, so that a mistake there is
//     not made twice and overlooked.
package harness
