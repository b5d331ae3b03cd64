package cluster

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Errors of the list of peers and of addresses in commands.
var (
	ErrBadAddr  = errors.New("the address is not host:port")
	ErrPeerList = errors.New("the list of peers is wrong")
)

// ParsePeerAddr turns what users write for a node ("host:port", or
// "http://host:port" as the older store has it) into host:port. Errors: ErrBadAddr.
func ParsePeerAddr(s string) (string, error) {
	addr := trimURL(s)
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return "", fmt.Errorf("cluster: %q: %w", s, ErrBadAddr)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "", fmt.Errorf("cluster: %q: %w that others can reach", s, ErrBadAddr)
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return "", fmt.Errorf("cluster: %q: %w", s, ErrBadAddr)
	}
	return net.JoinHostPort(strings.ToLower(host), port), nil
}

func trimURL(s string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "http://"), "/")
}

// normalizePeers brings the addresses into one form. Errors: ErrBadAddr.
func (o *Options) normalizePeers() error {
	o.PeerListen = trimURL(o.PeerListen)
	if o.PeerAddr != "" {
		a, err := ParsePeerAddr(o.PeerAddr)
		if err != nil {
			return err
		}
		if o.PeerAddr = a; o.PeerListen == "" {
			o.PeerListen = a
		}
	}
	peers := make([]string, 0, len(o.Peers))
	for _, p := range o.Peers {
		a, err := ParsePeerAddr(p)
		if err != nil {
			return err
		}
		peers = append(peers, a)
	}
	slices.Sort(peers)
	if o.Peers = peers; o.Join {
		o.Peers = nil // it will be told who the members are
	}
	return nil
}

// validatePeers checks the addresses against each other. Errors: ErrBadAddr, ErrPeerList.
func (o Options) validatePeers() error {
	if err := o.normalizePeers(); err != nil {
		return err
	}
	switch {
	case o.PeerAddr == "" && len(o.Peers) > 0:
		return fmt.Errorf("cluster: %w: it is given without this node's own peer address", ErrPeerList)
	case o.PeerAddr == "" && o.Join:
		return errors.New("cluster: a node that is to join needs a peer address")
	}
	for i, p := range o.Peers {
		if i > 0 && p == o.Peers[i-1] {
			return fmt.Errorf("cluster: %w: it has %s twice", ErrPeerList, p)
		}
	}
	if len(o.Peers) > 0 && !slices.Contains(o.Peers, o.PeerAddr) {
		return fmt.Errorf("cluster: %w: this node, %s, is not in %s", ErrPeerList, o.PeerAddr, strings.Join(o.Peers, ","))
	}
	return nil
}
