package server

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// maxPeers bounds the list of a cluster's founders. Groups of more than seven
// voters are slow; this is far above what makes sense.
const maxPeers = 31

var errPeer = errors.New("argument must be host:port or http://host:port")

// parsePeer reads the address of a node: host:port, or a URL with nothing but
// that. The result is host:port; "" stays "".
func parsePeer(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		if !strings.EqualFold(scheme, "http") {
			return "", fmt.Errorf("%w (TLS between nodes: peer-tls-cert-file)", errPeer)
		}
		rest = after
	}
	host, port, err := net.SplitHostPort(strings.TrimSuffix(rest, "/"))
	if err != nil || strings.ContainsAny(host+port, " \t/,@\"'\x00") {
		return "", errPeer
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%w, with a port from 1 to 65535", errPeer)
	}
	return net.JoinHostPort(strings.ToLower(host), strings.TrimLeft(port, "0")), nil
}

// parsePeers reads a list of addresses, separated by commas or blanks; the
// result has commas.
func parsePeers(words []string) (string, error) {
	var peers []string
	for _, w := range strings.Split(strings.Join(words, ","), ",") {
		addr, err := parsePeer(strings.TrimSpace(w))
		if err != nil {
			return "", fmt.Errorf("%q: %w", w, err)
		}
		switch {
		case addr == "":
		case slices.Contains(peers, addr):
			return "", fmt.Errorf("%s stands there twice", addr)
		default:
			peers = append(peers, addr)
		}
	}
	if len(peers) > maxPeers {
		return "", fmt.Errorf("more than %d addresses", maxPeers)
	}
	return strings.Join(peers, ","), nil
}
