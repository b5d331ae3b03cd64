package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// tlsOptions are the options for TLS, which are redis-cli's.
type tlsOptions struct {
	on                        bool
	caFile, certFile, keyFile string
	name                      string // that the server's certificate must have; "": the host
	insecure                  bool   // any certificate will do
}

// client makes a connection to addr, host:port, one with TLS; it closes nc when it
// cannot.
func (o *tlsOptions) client(ctx context.Context, nc net.Conn, addr string) (net.Conn, error) {
	settings, err := o.settings(addr)
	if err == nil {
		c := tls.Client(nc, settings)
		if err = c.HandshakeContext(ctx); err == nil {
			return c, nil
		}
	}
	nc.Close()
	return nil, err
}

func (o *tlsOptions) settings(addr string) (*tls.Config, error) {
	t := &tls.Config{ServerName: o.name, InsecureSkipVerify: o.insecure}
	if t.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		t.ServerName = host
	}
	if o.caFile != "" {
		pem, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in %s", o.caFile)
		}
	}
	if (o.certFile == "") != (o.keyFile == "") {
		return nil, errors.New("-cert and -key belong together")
	}
	if o.certFile != "" {
		cert, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}
