package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// handshakeTimeout bounds a client's handshake.
	handshakeTimeout = 10 * time.Second
	// tlsCheckInterval is how often the files are looked at, when clients come.
	tlsCheckInterval = time.Second
)

// tlsParams are the parameters that a client's connection depends on.
var tlsParams = []string{
	"tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-ca-cert-dir", "tls-auth-clients", "tls-protocols",
	"tls-ciphers", "tls-session-caching",
}

// tlsKeeper has the settings for TLS with clients, and reads them again when a
// parameter or one of the files has changed: a certificate is renewed by writing it
// in the old one's place.
type tlsKeeper struct {
	config *Config
	log    *slog.Logger

	mu      sync.Mutex
	current *tls.Config
	stamp   string // what current was made of
	failed  string // what could not be read
	checked int64  // nanotime
}

// load reads the files. Errors: what is wrong with them; then the settings stay as
// they were.
func (k *tlsKeeper) load() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.loadLocked()
}

func (k *tlsKeeper) loadLocked() error {
	stamp := k.config.tlsStamp()
	c, err := k.config.serverTLS()
	if err != nil {
		k.failed = stamp
		return err
	}
	k.current, k.stamp, k.failed = c, stamp, ""
	return nil
}

// get returns the settings for a client that has just come.
func (k *tlsKeeper) get() *tls.Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := nanotime(); k.current == nil || now-k.checked > int64(tlsCheckInterval) {
		k.checked = now
		if stamp := k.config.tlsStamp(); stamp != k.stamp && stamp != k.failed {
			if err := k.loadLocked(); err != nil {
				k.log.Error("cannot read the TLS certificates again, those from before stay in use", "err", err)
			} else {
				k.log.Info("TLS certificates were read again")
			}
		}
	}
	return k.current
}

// apply is a change of parameters by CONFIG SET.
func (k *tlsKeeper) apply(string) error {
	if k.config.Int("tls-port") == 0 {
		return nil
	}
	if err := k.load(); err != nil {
		k.log.Error("cannot change the TLS settings", "err", err)
		return fmt.Errorf("Unable to update TLS configuration: %w", err)
	}
	return nil
}

// tlsStamp changes when the settings or the files do.
func (c *Config) tlsStamp() string {
	var b strings.Builder
	for _, name := range tlsParams {
		v := c.String(name)
		fmt.Fprintf(&b, "%s=%s", name, v)
		if info, err := os.Stat(v); v != "" && err == nil {
			fmt.Fprintf(&b, " %d %d", info.Size(), info.ModTime().UnixNano())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// serverTLS makes the settings for clients.
func (c *Config) serverTLS() (*tls.Config, error) {
	cert, err := loadPair("tls-cert-file", c.String("tls-cert-file"), "tls-key-file", c.String("tls-key-file"))
	if err != nil {
		return nil, err
	}
	t := &tls.Config{Certificates: []tls.Certificate{*cert}, SessionTicketsDisabled: !c.Bool("tls-session-caching")}
	switch c.String("tls-auth-clients") {
	case "yes":
		t.ClientAuth = tls.RequireAndVerifyClientCert
	case "optional":
		t.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if t.ClientAuth != tls.NoClientCert {
		if t.ClientCAs, err = c.authorities(); err != nil {
			return nil, err
		}
	}
	return t, c.limitTLS(t)
}

// limitTLS applies tls-protocols and tls-ciphers.
func (c *Config) limitTLS(t *tls.Config) (err error) {
	if t.MinVersion, t.MaxVersion, err = parseTLSProtocols(c.String("tls-protocols")); err != nil {
		return err
	}
	t.CipherSuites, err = parseTLSCiphers(c.String("tls-ciphers"))
	return err
}

// authorities are those that sign the other side's certificates.
func (c *Config) authorities() (*x509.CertPool, error) {
	file, dir := c.String("tls-ca-cert-file"), c.String("tls-ca-cert-dir")
	if file == "" && dir == "" {
		return nil, errors.New("tls-ca-cert-file or tls-ca-cert-dir is needed to verify certificates (tls-auth-clients no asks for none)")
	}
	pool := x509.NewCertPool()
	if file != "" {
		if err := addCertificates(pool, "tls-ca-cert-file", file); err != nil {
			return nil, err
		}
	}
	if dir == "" {
		return pool, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("tls-ca-cert-dir: %w", err)
	}
	found := false
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		found = addCertificates(pool, "", path) == nil || found
	}
	if !found {
		return nil, fmt.Errorf("tls-ca-cert-dir: no certificate in %s", dir)
	}
	return pool, nil
}

func addCertificates(pool *x509.CertPool, param, path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", param, err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: no certificate in %s", param, path)
	}
	return nil
}

func loadPair(certParam, certFile, keyParam, keyFile string) (*tls.Certificate, error) {
	if certFile == "" || keyFile == "" {
		return nil, fmt.Errorf("TLS needs %s and %s", certParam, keyParam)
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", certParam, keyParam, err)
	}
	return &cert, nil
}

var tlsVersions = []struct {
	name    string
	version uint16
}{{"TLSv1", tls.VersionTLS10}, {"TLSv1.1", tls.VersionTLS11}, {"TLSv1.2", tls.VersionTLS12}, {"TLSv1.3", tls.VersionTLS13}}

// parseTLSProtocols reads names of versions, separated by blanks; none: TLS 1.2 and
// newer. What lies between two of them is on as well.
func parseTLSProtocols(s string) (least, most uint16, err error) {
	if s == "" {
		return tls.VersionTLS12, 0, nil
	}
	for _, word := range strings.Fields(s) {
		i := 0
		for i < len(tlsVersions) && !strings.EqualFold(tlsVersions[i].name, word) {
			i++
		}
		if i == len(tlsVersions) {
			return 0, 0, fmt.Errorf("tls-protocols: %q is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3", word)
		}
		v := tlsVersions[i].version
		if least == 0 || v < least {
			least = v
		}
		most = max(most, v)
	}
	return least, most, nil
}

// parseTLSCiphers reads names of cipher suites of TLS 1.2 as OpenSSL has them
// (ECDHE-RSA-AES128-GCM-SHA256), separated by colons; "" and DEFAULT: all that are
// secure.
func parseTLSCiphers(s string) ([]uint16, error) {
	if s == "" || s == "DEFAULT" {
		return nil, nil
	}
	var ids []uint16
	for word := range strings.SplitSeq(s, ":") {
		suites := tls.CipherSuites()
		i := slices.IndexFunc(suites, func(c *tls.CipherSuite) bool { return strings.EqualFold(openSSLName(c.Name), word) })
		if i < 0 || !slices.Contains(suites[i].SupportedVersions, tls.VersionTLS12) {
			return nil, fmt.Errorf("tls-ciphers: %q is not a cipher suite that is known here", word)
		}
		ids = append(ids, suites[i].ID)
	}
	return ids, nil
}

// openSSLName turns the name of a standard, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
// into OpenSSL's.
func openSSLName(name string) string {
	name = strings.TrimPrefix(name, "TLS_")
	name = strings.Replace(name, "_WITH_", "_", 1)
	name = strings.Replace(name, "CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305", 1)
	for _, bits := range []string{"128", "256"} {
		name = strings.ReplaceAll(name, "AES_"+bits, "AES"+bits)
	}
	return strings.ReplaceAll(name, "_", "-")
}

// tlsListener has clients speak TLS.
type tlsListener struct {
	net.Listener
	settings *tls.Config
}

// Accept returns a connection whose handshake is still to be made: not here, where
// a slow client would hold up the others.
func (l tlsListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(nc, l.settings), nil
}

// listenTLS binds addresses of tls-port.
func (s *Server) listenTLS(lc *net.ListenConfig, addrs []ListenAddr) ([]net.Listener, error) {
	if len(addrs) == 0 {
		return nil, nil
	}
	if err := s.tls.load(); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	settings := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.tls.get(), nil }}
	listeners, err := s.listenAll(lc, addrs)
	for i := range listeners {
		listeners[i] = tlsListener{listeners[i], settings}
	}
	return listeners, err
}

// handshake makes the connection ready; it is the first thing on its goroutine.
func (c *Conn) handshake() error {
	if c.tls == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := c.tls.HandshakeContext(ctx); err != nil {
		c.srv.log.Debug("TLS handshake failed", "id", c.id, "addr", c.addr, "err", err)
		return err
	}
	return nil
}

// SourceDialer connects to the source of a replica, by TLS with tls-replication yes.
func (c *Config) SourceDialer() func(ctx context.Context, addr string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		d := &net.Dialer{Timeout: handshakeTimeout}
		if !c.Bool("tls-replication") {
			return d.DialContext(ctx, "tcp", addr)
		}
		settings, err := c.clientTLS()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		return (&tls.Dialer{NetDialer: d, Config: settings}).DialContext(ctx, "tcp", addr)
	}
}

// clientTLS makes the settings of a replica that connects to its source. Like Redis
// it looks at who has signed the source's certificate, not at the host's name in it.
func (c *Config) clientTLS() (*tls.Config, error) {
	roots, err := c.authorities()
	if err != nil {
		return nil, err
	}
	t := &tls.Config{InsecureSkipVerify: true} // of the name; VerifyConnection verifies the rest
	t.VerifyConnection = func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
	certFile, keyFile := c.String("tls-client-cert-file"), c.String("tls-client-key-file")
	if certFile == "" {
		certFile, keyFile = c.String("tls-cert-file"), c.String("tls-key-file")
	}
	if certFile != "" {
		cert, err := loadPair("tls-client-cert-file", certFile, "tls-client-key-file", keyFile)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{*cert}
	}
	return t, c.limitTLS(t)
}
