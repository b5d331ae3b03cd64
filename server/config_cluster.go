package server

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
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
	if c.String("restore-until") != "" && c.String("restore") == "" {
		return errors.New("restore-until needs restore, the backup to begin with")
	}
	if c.Bool("recover-lost-majority") || c.String("restore") != "" {
		return nil // it looks at the data folder only
	}
	if c.String("role") == "none" && c.Given("role") && member {
		return errors.New("role none: cluster-peers and join are for role master")
	}
	if err := c.checkSource(member); err != nil {
		return err
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

// SourceAddrs returns whom the parameters say that this node follows; nil: nobody.
func (c *Config) SourceAddrs() []string {
	if list := c.String("repl-master-addr"); list != "" {
		return strings.Split(list, ",")
	}
	if f := strings.Fields(c.String("replicaof")); len(f) == 2 && !isNoOne(f) {
		return []string{net.JoinHostPort(f[0], f[1])}
	}
	return nil
}

func isNoOne(words []string) bool {
	return strings.EqualFold(words[0], "no") && strings.EqualFold(words[1], "one")
}

// checkSource checks what a replica is given.
func (c *Config) checkSource(member bool) error {
	f := strings.Fields(c.String("replicaof"))
	if len(f) > 0 {
		if len(f) != 2 {
			return errors.New("replicaof needs a host and a port")
		}
		if port, err := strconv.ParseUint(f[1], 10, 16); !isNoOne(f) && (err != nil || port == 0) {
			return errors.New("replicaof: Invalid master port")
		}
	}
	addrs := c.SourceAddrs()
	switch {
	case c.String("role") == "slave" && len(addrs) == 0:
		return errors.New("role slave needs repl-master-addr, the master's address for clients, for example -repl-master-addr 10.0.0.1:6379")
	case len(addrs) == 0:
	case c.Given("role") && c.String("role") != "slave":
		return fmt.Errorf("role %s does not go with repl-master-addr or replicaof, which are for role slave", c.String("role"))
	case member || c.String("peer-addr") != "":
		return errors.New("a slave is no member of a cluster: repl-master-addr and replicaof do not go with cluster-peers, join and peer-addr")
	case c.String("repl-master-addr") != "" && len(f) == 2:
		return errors.New("repl-master-addr and replicaof say the same thing: give one of them")
	}
	return nil
}

// ReplicaAddr is where this node is for clients, as it tells its source. listening
// is as ClientAddr's.
func (c *Config) ReplicaAddr(listening net.Addr) string {
	host, port, err := net.SplitHostPort(c.ClientAddr(listening))
	if err != nil {
		return ""
	}
	if ip := c.String("replica-announce-ip"); ip != "" {
		host = ip
	} else if c.String("client-addr") == "" {
		host = "" // the source sees where the connection comes from
	}
	if p := c.Int("replica-announce-port"); p != 0 {
		port = fmt.Sprint(p)
	}
	return net.JoinHostPort(host, port)
}
