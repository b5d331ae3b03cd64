package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

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

func (f *tlsFiles) server() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      f.roots,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.certificate() },
	})
}

// client's server name comes from the address that is dialed.
func (f *tlsFiles) client() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		MinVersion:           tls.VersionTLS13,
		RootCAs:              f.roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return f.certificate() },
	})
}
