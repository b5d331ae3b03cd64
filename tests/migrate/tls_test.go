package migrate

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// TestTLS follows a Redis server by TLS, which wants a certificate of its replicas, and
// does not follow one of another authority.
func TestTLS(t *testing.T) {
	harness.NeedItself(t)
	rng := seedOf(t)
	a, dir := harness.NewAuthority(t), t.TempDir()
	cert, key := a.Sign("node", dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	source := harness.Redis(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", a.File())
	fill(t, source, rng, 50)
	flags := func(ca string) []string {
		return []string{"-role", "slave", "-repl-master-addr", "127.0.0.1:" + port, "-tls-replication", "yes", "-fsync", "no",
			"-tls-cert-file", cert, "-tls-key-file", key, "-tls-ca-cert-file", ca}
	}
	d := harness.Dkv(t, append(flags(a.File()), "-shards", "2")...)
	harness.Until(t, patience, "the link to be up", linkUp(d))
	stop := load(source.Addr(), rng.Uint64(), 1)
	before := offset(d)
	harness.Until(t, patience, "progress", func() bool { return offset(d) > before })
	d.Kill()
	d.MustStart(t)
	stop()
	awaitAcked(t, source)
	awaitSame(t, source, d)
	if got := infoField(source, "stats", "sync_partial_ok"); got == "0" {
		t.Error("the restart was not resumed")
	}

	stranger := harness.Dkv(t, flags(harness.NewAuthority(t).File())...)
	harness.Until(t, patience, "the reason to be told", func() bool {
		return strings.Contains(stranger.Logs(), "certificate signed by unknown authority")
	})
	if got := infoField(stranger, "replication", "master_link_status"); got == "up" {
		t.Error("a source of another authority is followed")
	}
	// Without TLS at all nothing is said to it either.
	plain := harness.Dkv(t)
	plain.Dial(t).OK("REPLICAOF", "127.0.0.1", port)
	harness.Until(t, patience, "the link to fail", func() bool { return infoField(plain, "replication", "dkv_master_link_error") != "" })
	if got := infoField(plain, "replication", "master_link_status"); got != "down" {
		t.Errorf("without TLS the link is %s", got)
	}
}
