package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
)

type tlsFiles struct {
	TLS
	roots *x509.CertPool
}

// loadTLS reads the files once, to find mistakes at the start.
func loadTLS(o TLS) (*tlsFiles, error) {
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	f := &tlsFiles{TLS: o, roots: x509.NewCertPool()}
	if !f.roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("transport: no certificate in " + o.CAFile)
	}
	_, err = f.certificate()
	return f, err
}

func (f *tlsFiles) certificate() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	return &c, nil
}

// server returns the listener's side. failed is told of each handshake that fails.
func (f *tlsFiles) server(failed func(addr string, err error)) credentials.TransportCredentials {
	return watchedTLS{failed: failed, TransportCredentials: credentials.NewTLS(&tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      f.roots,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.certificate() },
	})}
}

// client's server name comes from the address that is dialed.
func (f *tlsFiles) client(failed func(addr string, err error)) credentials.TransportCredentials {
	return watchedTLS{failed: failed, TransportCredentials: credentials.NewTLS(&tls.Config{
		MinVersion:           tls.VersionTLS13,
		RootCAs:              f.roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return f.certificate() },
	})}
}

// watchedTLS tells of handshakes that fail: gRPC keeps it to itself on one side,
// and wraps it in words of its own on the other.
type watchedTLS struct {
	credentials.TransportCredentials
	failed func(addr string, err error)
}

func (w watchedTLS) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		w.failed(raw.RemoteAddr().String(), err)
	}
	return c, info, err
}

func (w watchedTLS) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := w.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		w.failed(raw.RemoteAddr().String(), err)
	}
	return c, info, err
}

func (w watchedTLS) Clone() credentials.TransportCredentials {
	return watchedTLS{w.TransportCredentials.Clone(), w.failed}
}

// TLSError says that two nodes could not agree on TLS: one has it and the other has
// not, or one does not accept the other's certificate.
type TLSError struct {
	Reason string // in words, about the other node
	cause  error
}

func (e *TLSError) Error() string { return "transport: TLS: " + e.Reason }
func (e *TLSError) Unwrap() error { return e.cause }

// Starts of what a peer's TLS, or its lack, looks like from here where only a text
// is to be had.
const (
	alertText   = "remote error: tls: " // its alert, after our side of the handshake was done
	prefaceText = "server preface"      // what gRPC says when the other end says something else
)

// tlsReason puts a failed handshake in words; "": it was not TLS that failed, but the
// connection.
func tlsReason(err error) string {
	var notTLS tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	text := err.Error()
	_, alert, alerted := strings.Cut(text, alertText)
	switch {
	case errors.As(err, &notTLS):
		return "it does not speak TLS"
	case errors.As(err, &unknown):
		return "its certificate is not signed by our authority (but by " + unknown.Cert.Issuer.String() + ")"
	case errors.As(err, &host):
		return "its certificate is for another host (" + host.Error() + ")"
	case errors.As(err, &invalid):
		return "its certificate is not valid (" + invalid.Error() + ")"
	case alerted:
		alert, _, _ = strings.Cut(alert, "\"")
		return "it does not accept our certificate (" + alert + ")"
	case strings.Contains(text, "tls: "):
		return text
	}
	return ""
}

// explain makes an error of a connection's first use a *TLSError if that is what it
// is; otherwise it returns err.
func (c *conn) explain(err error) error {
	if err == nil {
		return nil
	}
	if failed := c.handshake.Load(); failed != nil {
		if reason := tlsReason(*failed); reason != "" {
			return &TLSError{Reason: reason, cause: err}
		}
		return err
	}
	switch text := err.Error(); {
	case strings.Contains(text, alertText):
		return &TLSError{Reason: tlsReason(err), cause: err}
	case !c.tls && strings.Contains(text, prefaceText):
		return &TLSError{Reason: "it seems to have TLS, which this node has not", cause: err}
	}
	return err
}

// tlsRefusal is a failed handshake that was logged.
type tlsRefusal struct{ host, reason string }

// Bounds of what is logged of failed handshakes, which anybody can cause: each is
// logged once in tlsLogInterval, and no more than so many.
const (
	tlsLogInterval = time.Minute
	maxTLSRefusals = 64
)

// refusedTLS logs that somebody did not get in.
func (t *Transport) refusedTLS(addr string, err error) {
	reason := tlsReason(err)
	if reason == "" {
		return // who connects and hangs up was not refused
	}
	host, _, splitErr := net.SplitHostPort(addr)
	if splitErr != nil {
		host = addr
	}
	key, now := tlsRefusal{host, reason}, t.o.Clock()
	t.mu.Lock()
	for old, at := range t.mu.tls {
		if now.Sub(at) >= tlsLogInterval {
			delete(t.mu.tls, old)
		}
	}
	_, logged := t.mu.tls[key]
	if logged = logged || len(t.mu.tls) >= maxTLSRefusals; !logged {
		t.mu.tls[key] = now
	}
	t.mu.Unlock()
	if !logged {
		t.o.Logger.Warn("refused a connection to the port for peers", "from", addr, "reason", reason)
	}
}
