package replica

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// TestReplicaTLS: a replica copies and follows by TLS where the source has no other
// port, and refuses a source of another authority.
func TestReplicaTLS(t *testing.T) {
	harness.NeedItself(t)
	a, dir := harness.NewAuthority(t), t.TempDir()
	cert, key := a.Sign("node", dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	source := harness.Dkv(t, "-tls-port", strconv.Itoa(port),
		"-tls-cert-file", cert, "-tls-key-file", key, "-tls-ca-cert-file", a.File())
	s := source.Dial(t)
	s.OK("SET", "before", "1")
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	flags := func(ca string) []string {
		return []string{"-role", "slave", "-repl-master-addr", addr, "-tls-replication", "yes",
			"-tls-cert-file", cert, "-tls-key-file", key, "-tls-ca-cert-file", ca}
	}
	replica := harness.Dkv(t, flags(a.File())...)
	r := replica.Dial(t)
	awaitUp(t, replica)
	awaitGet(t, r, "before", "1")
	s.OK("SET", "after", "2")
	awaitGet(t, r, "after", "2")
	if n := s.DoInt("WAIT", "1", "20000"); n != 1 {
		t.Errorf("WAIT 1: %d", n)
	}
	source.Kill()
	source.MustStart(t)
	s = source.Dial(t)
	s.OK("SET", "again", "3")
	awaitGet(t, r, "again", "3")

	stranger := harness.Dkv(t, flags(harness.NewAuthority(t).File())...)
	harness.Until(t, patience, "the reason to be told", func() bool {
		return strings.Contains(stranger.Logs(), "certificate signed by unknown authority")
	})
	if got := infoField(stranger, "replication", "master_link_status"); got != "down" {
		t.Errorf("the link to a source of another authority is %s", got)
	}
}
