package compat

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"

	"github.com/redis/go-redis/v9"
)

// tlsServer starts dkvsrv with a second port, for TLS.
type tlsServer struct {
	*harness.Server
	ca        *harness.Authority
	dir, addr string
	roots     *x509.CertPool
}

func startTLS(t *testing.T, flags ...string) *tlsServer {
	t.Helper()
	harness.NeedItself(t)
	s := &tlsServer{ca: harness.NewAuthority(t), dir: t.TempDir(), roots: x509.NewCertPool()}
	cert, key := s.ca.Sign("server", s.dir)
	s.ca.Sign("client", s.dir)
	pem, err := os.ReadFile(s.ca.File())
	if err != nil || !s.roots.AppendCertsFromPEM(pem) {
		t.Fatal("no authority: ", err)
	}
	port := strconv.Itoa(freePort(t))
	s.addr = net.JoinHostPort("127.0.0.1", port)
	s.Server = harness.Dkv(t, append([]string{
		"-tls-port", port, "-tls-cert-file", cert, "-tls-key-file", key, "-tls-ca-cert-file", s.ca.File(),
	}, flags...)...)
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// file is the path of a file in the server's folder of certificates.
func (s *tlsServer) file(name string) string { return filepath.Join(s.dir, name) }

// client is a client's settings, with its certificate.
func (s *tlsServer) client(t *testing.T) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(s.file("client.pem"), s.file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: s.roots, Certificates: []tls.Certificate{pair}}
}

// dial connects; serial is the number of the server's certificate.
func (s *tlsServer) dial(settings *tls.Config) (c *harness.Conn, serial string, err error) {
	nc, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: settings}).DialContext(context.Background(), "tcp", s.addr)
	if err != nil {
		return nil, "", err
	}
	if err := nc.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return nil, "", err
	}
	return harness.NewConn(nc), nc.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// ping says whether a client with these settings is served.
func (s *tlsServer) ping(settings *tls.Config) error {
	c, _, err := s.dial(settings)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Call("PING")
	if err == nil && string(r.Str) != "PONG" {
		err = fmt.Errorf("PING: %s", r)
	}
	return err
}

// Clients of all kinds reach the same data by TLS and without.
func TestTLS(t *testing.T) {
	cli := harness.NeedProgram(t, "redis-cli", "redis-tools")
	s := startTLS(t)
	plain := s.Dial(t)
	plain.OK("SET", "from", "plain")
	_, port, _ := net.SplitHostPort(s.addr)
	trust := []string{"--tls", "--cacert", s.ca.File(), "--cert", s.file("client.pem"), "--key", s.file("client.key")}
	stdout, stderr, code := run(t, "", cli, append(append([]string{"-p", port}, trust...), "GET", "from")...)
	if code != 0 || strings.TrimSpace(stdout) != "plain" {
		t.Errorf("redis-cli --tls: exit code %d, %s%s", code, stdout, stderr)
	}
	dkvctl := harness.NeedDkv(t, "dkvctl")
	stdout, stderr, code = run(t, "", dkvctl, append(append([]string{"-a", s.addr}, trust...), "-set", "by", "dkvctl")...)
	if code != 0 {
		t.Errorf("dkvctl -tls: exit code %d, %s%s", code, stdout, stderr)
	}
	plain.Want("$6\r\ndkvctl\r\n", "GET", "by")
	if _, _, code = run(t, "", dkvctl, "-a", s.addr, "-tls", "-get", "by"); code != 3 {
		t.Errorf("dkvctl without the authority: exit code %d", code)
	}

	db := redis.NewClient(&redis.Options{Addr: s.addr, TLSConfig: s.client(t)})
	defer db.Close()
	ctx := context.Background()
	pipe := db.Pipeline()
	for i := range 1000 {
		pipe.Set(ctx, "k"+strconv.Itoa(i), strings.Repeat("v", i), 0)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Get(ctx, "k999").Result(); err != nil || len(got) != 999 {
		t.Errorf("GET by go-redis: %d bytes, %v", len(got), err)
	}
}

// A client that sends a whole pipeline before it reads the first reply is served,
// though the replies are far more than the sockets hold.
func TestTLSLongPipeline(t *testing.T) {
	s := startTLS(t, "-tls-auth-clients", "no")
	c, _, err := s.dial(&tls.Config{RootCAs: s.roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 300
	value := strings.Repeat("x", 100<<10)
	c.Queue("SET", "k", value)
	for range n {
		c.Queue("GET", "k")
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range n + 1 {
		r, err := c.Read()
		if err != nil || i > 0 && len(r.Str) != len(value) {
			t.Fatalf("reply %d: %d bytes, %v", i, len(r.Str), err)
		}
	}
	// QUIT ends it in order: what was sent arrives, and TLS is told that this is all.
	c.Queue("GET", "k")
	c.Queue("QUIT")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Read(); err != nil || len(r.Str) != len(value) {
		t.Fatalf("before QUIT: %d bytes, %v", len(r.Str), err)
	}
	if r, err := c.Read(); err != nil || string(r.Str) != "OK" {
		t.Fatalf("QUIT: %s, %v", r, err)
	}
	if _, err := c.Read(); err == nil || strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("after QUIT: %v", err)
	}
}

// Who may connect is a matter of certificates, and can be changed at run time.
func TestTLSAuthClients(t *testing.T) {
	s := startTLS(t)
	c := s.Dial(t)
	with, without := s.client(t), &tls.Config{RootCAs: s.roots}
	other := harness.NewAuthority(t)
	dir := t.TempDir()
	cert, key := other.Sign("client", dir)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	// Sent whatever the server asks for.
	stranger := &tls.Config{RootCAs: s.roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
	for _, tc := range []struct {
		mode                    string
		with, without, stranger bool
	}{{"yes", true, false, false}, {"optional", true, true, false}, {"no", true, true, true}} {
		c.OK("CONFIG", "SET", "tls-auth-clients", tc.mode)
		for name, want := range map[*tls.Config]bool{with: tc.with, without: tc.without, stranger: tc.stranger} {
			if err := s.ping(name); (err == nil) != want {
				t.Errorf("tls-auth-clients %s: %v (own certificate %v, none %v)", tc.mode, err, name == with, name == without)
			}
		}
	}
	c.OK("CONFIG", "SET", "tls-protocols", "TLSv1.2")
	if err := s.ping(&tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS13}); err == nil {
		t.Error("TLSv1.3 is served with tls-protocols TLSv1.2")
	}
	c.OK("CONFIG", "SET", "tls-ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256")
	if err := s.ping(&tls.Config{RootCAs: s.roots, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}); err == nil {
		t.Error("another cipher suite is served than tls-ciphers names")
	}
	if err := s.ping(&tls.Config{RootCAs: s.roots, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}); err != nil {
		t.Errorf("with the cipher suite of tls-ciphers: %v", err)
	}
	for _, bad := range [][]string{{"tls-ciphers", "NONE-SUCH"}, {"tls-protocols", "SSLv3"}, {"tls-cert-file", s.file("none.pem")}} {
		if r := c.Do("CONFIG", "SET", bad[0], bad[1]); !r.IsError() || !strings.Contains(string(r.Str), "Unable to update TLS configuration") {
			t.Errorf("CONFIG SET %q: %s", bad, r)
		}
	}
	if err := s.ping(without); err != nil {
		t.Errorf("after settings that were refused: %v", err)
	}
	// Two that only fit each other are changed together.
	cert, key = s.ca.Sign("second", s.dir)
	c.OK("CONFIG", "SET", "tls-cert-file", cert, "tls-key-file", key)
	if err := s.ping(without); err != nil {
		t.Errorf("with another certificate: %v", err)
	}
}

// A certificate that was written anew is used without a restart; one that cannot be
// read changes nothing.
func TestTLSRenewal(t *testing.T) {
	s := startTLS(t, "-tls-auth-clients", "no")
	trust := &tls.Config{RootCAs: s.roots}
	old, first, err := s.dial(trust)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	s.ca.Sign("server", s.dir)
	second := first
	harness.Until(t, 30*time.Second, "the new certificate", func() bool {
		c, serial, err := s.dial(trust)
		if err != nil {
			t.Fatal(err) // also while the two files do not fit each other
		}
		c.Close()
		second = serial
		return second != first
	})
	if r, err := old.Call("PING"); err != nil || string(r.Str) != "PONG" {
		t.Errorf("a connection from before: %s, %v", r, err)
	}
	if err := os.WriteFile(s.file("server.pem"), []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, 30*time.Second, "a complaint in the log", func() bool {
		c, serial, err := s.dial(trust)
		if err != nil || serial != second {
			t.Fatalf("with a file that is no certificate: %s, %v", serial, err)
		}
		c.Close()
		return strings.Contains(s.Logs(), "cannot read the TLS certificates again")
	})
}

// Neither those that do not speak TLS nor those that say nothing harm the others.
func TestTLSStrangers(t *testing.T) {
	s := startTLS(t)
	settings := s.client(t)
	for range 50 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() // says nothing
	}
	for _, text := range []string{"PING\r\n", "*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff", string(bytes.Repeat([]byte{0}, 1<<16))} {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(text)); err != nil {
			continue // it is cut already
		}
		if err := s.ping(settings); err != nil {
			t.Fatalf("after %.20q: %v", text, err)
		}
	}
	// Neither do clients that are cut while much waits for them.
	c, _, err := s.dial(settings)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Queue("CLIENT", "SETNAME", "slow")
	c.Queue("SET", "k", strings.Repeat("x", 1<<20))
	for range 30 {
		c.Queue("GET", "k")
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	admin := s.Dial(t)
	id := ""
	harness.Until(t, 30*time.Second, "output to wait", func() bool {
		for line := range strings.Lines(string(admin.Do("CLIENT", "LIST").Str)) {
			if strings.Contains(line, "name=slow") && !strings.Contains(line, "omem=0") {
				id, _, _ = strings.Cut(strings.TrimPrefix(line, "id="), " ")
			}
		}
		return id != ""
	})
	start := time.Now()
	admin.Want(":1\r\n", "CLIENT", "KILL", "ID", id)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("CLIENT KILL took %v", took)
	}
	if err := s.ping(settings); err != nil {
		t.Fatal(err)
	}
}

// What is missing or wrong is said at the start.
func TestTLSStartRefused(t *testing.T) {
	harness.NeedItself(t)
	a, dir := harness.NewAuthority(t), t.TempDir()
	cert, key := a.Sign("server", dir)
	port := strconv.Itoa(freePort(t))
	for _, tc := range []struct{ flags, want string }{
		{"", "TLS needs tls-cert-file and tls-key-file"},
		{"-tls-cert-file " + cert + " -tls-key-file " + key, "tls-ca-cert-file or tls-ca-cert-dir is needed"},
		{"-tls-cert-file " + cert + " -tls-key-file " + cert, "tls-cert-file, tls-key-file: "},
		{"-tls-cert-file " + cert + " -tls-key-file " + key + " -tls-ca-cert-file " + key, "no certificate in"},
		{"-tls-cert-file " + cert + " -tls-key-file " + key + " -tls-auth-clients no -tls-protocols SSLv3", "SSLv3"},
		{"-tls-key-file-pass x", "tls-key-file-pass"},
	} {
		spec, err := harness.DkvSpec(t.TempDir(), append([]string{"-tls-port", port}, strings.Fields(tc.flags)...)...)
		if err != nil {
			t.Fatal(err)
		}
		if code, output := harness.NewServer(spec).StartRefused(30 * time.Second); code == 0 || !strings.Contains(output, tc.want) {
			t.Errorf("%s: exit code %d, %s; want %q", tc.flags, code, output, tc.want)
		}
	}
}
