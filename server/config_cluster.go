package server

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// ClusterPeers returns the addresses of cluster-peers; nil when there are none.
func (c *Config) ClusterPeers() []string {
	list := c.String("cluster-peers")
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// CheckCluster checks the parameters of a cluster against each other and sets
// peer-addr where it can be told from cluster-peers. mine says whether an address,
// host:port, is one of this machine that nobody listens on.
func (c *Config) CheckCluster(mine func(addr string) bool) error {
	peers, join := c.ClusterPeers(), c.Bool("join")
	member := len(peers) > 0 || join
	if c.Bool("recover-lost-majority") {
		return nil // it looks at the data folder only
	}
	switch role := c.String("role"); {
	case role == "none" && c.Given("role") && member:
		return errors.New("role none: cluster-peers and join are for role master")
	case role == "master" && !member:
		return errors.New("role master needs cluster-peers (to found a cluster; nexus-cluster-url in the older store) " +
			"or join (to be added to one; nexus-join)")
	}
	if member && c.Bool("diskless") {
		return errors.New("diskless: a node of a cluster needs a disk, or it would forget what it has acknowledged")
	}
	if err := c.checkPeerTLS(); err != nil {
		return err
	}
	if c.String("peer-addr") == "" && member {
		if err := c.findPeerAddr(peers, mine); err != nil {
			return err
		}
	}
	return c.checkPeerAddr(peers)
}

// findPeerAddr sets peer-addr to the one peer that this machine can be.
func (c *Config) findPeerAddr(peers []string, mine func(addr string) bool) error {
	if len(peers) == 0 {
		return errors.New("join needs peer-addr, the address at which this node is to be added, for example -peer-addr 10.0.0.4:7100")
	}
	var found []string
	for _, p := range peers {
		if mine(p) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return c.Set("peer-addr", found[0])
	case 0:
		return fmt.Errorf("none of cluster-peers (%s) is an address of this machine that is free: "+
			"say with -peer-addr (or -nexus-node-url) which is this node's", strings.Join(peers, ", "))
	}
	return fmt.Errorf("%s of cluster-peers are all addresses of this machine: "+
		"say with -peer-addr (or -nexus-node-url) which is this node's", strings.Join(found, " and "))
}

func (c *Config) checkPeerAddr(peers []string) error {
	addr := c.String("peer-addr")
	if addr == "" {
		for _, name := range []string{"peer-listen", "peer-tls-cert-file"} {
			if c.String(name) != "" {
				return fmt.Errorf("%s needs peer-addr", name)
			}
		}
		return nil
	}
	for _, name := range []string{"peer-addr", "client-addr"} {
		if host, _, err := net.SplitHostPort(c.String(name)); err == nil && isEveryAddress(host) {
			return fmt.Errorf("%s %s: other machines cannot tell which one is meant; "+
				"give an address that they reach this node at", name, c.String(name))
		}
	}
	if !c.Bool("join") && len(peers) > 0 && !slices.Contains(peers, addr) {
		return fmt.Errorf("peer-addr %s is not among cluster-peers (%s)", addr, strings.Join(peers, ", "))
	}
	return nil
}

func (c *Config) checkPeerTLS() error {
	given := 0
	for _, name := range []string{"peer-tls-cert-file", "peer-tls-key-file", "peer-tls-ca-file"} {
		if c.String(name) != "" {
			given++
		}
	}
	if given != 0 && given != 3 {
		return errors.New("peer-tls-cert-file, peer-tls-key-file and peer-tls-ca-file belong together")
	}
	return nil
}

// ClientAddr is the address at which clients reach this node, as others are
// told. listening is what the server listens on, nil when that is not known
// yet; the port may be 0 then.
func (c *Config) ClientAddr(listening net.Addr) string {
	if addr := c.String("client-addr"); addr != "" {
		return addr
	}
	host, port, err := net.SplitHostPort(c.String("listen-addr"))
	if err != nil {
		return ""
	}
	if tcp, ok := listening.(*net.TCPAddr); ok {
		port = fmt.Sprint(tcp.Port)
	}
	if isEveryAddress(host) {
		if host, _, err = net.SplitHostPort(c.String("peer-addr")); err != nil {
			host = "127.0.0.1"
		}
	}
	return net.JoinHostPort(host, port)
}

// isEveryAddress says whether a host to listen on stands for all of them.
func isEveryAddress(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
