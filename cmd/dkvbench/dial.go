package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

const dialTimeout = 5 * time.Second // also for each step of setting a connection up

var errConnect = errors.New("could not connect")

// dial connects and authenticates.
func dial(ctx context.Context, t target, db int) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(t.addr, "/") {
		network = "unix"
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, network, t.addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConnect, err)
	}
	if t.pass != "" {
		_, err = ask(nc, "AUTH", t.pass)
	}
	if err == nil && db != 0 {
		_, err = ask(nc, "SELECT", strconv.Itoa(db))
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("%w to %s: %w", errConnect, t.addr, err)
	}
	return nc, nil
}

// ask sends a request on an otherwise unused connection and returns the first
// string of the reply; an error reply is an error.
func ask(nc net.Conn, words ...string) (string, error) {
	if err := nc.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return "", err
	}
	if _, err := nc.Write(appendRequest(nil, words...)); err != nil {
		return "", err
	}
	p, buf := replyParser{keep: 16 << 10}, make([]byte, 4096)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return "", err
		}
		_, complete, err := p.feed(buf[:n])
		switch {
		case err != nil:
			return "", err
		case complete && p.failed:
			return "", errors.New(string(p.first))
		case complete:
			return string(p.first), nc.SetDeadline(time.Time{})
		}
	}
}

// describe asks a server for its name and version.
func describe(ctx context.Context, t target, db int) (string, error) {
	nc, err := dial(ctx, t, db)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return "", err
	}
	info, err := ask(nc, "INFO", "server")
	if err != nil {
		return "it does not say what it is", nil // not every server knows INFO
	}
	var parts []string
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "dkv_version", "redis_version", "valkey_version", "kvrocks_version":
			parts = append(parts, strings.Replace(name, "_version", " ", 1)+value)
		}
	}
	if len(parts) == 0 {
		return "it does not say what it is", nil
	}
	return strings.Join(parts, ", "), nil
}
