package server

import (
	"net"
	"runtime"
	"strconv"
	"strings"
)

// ListenAddr is a TCP address to listen on.
type ListenAddr struct {
	Network  string // tcp4 or tcp6
	Addr     string // host:port
	Optional bool   // an address that this machine lacks is skipped
}

// EventLoops is how many event loops there are to be.
func (c *Config) EventLoops() int {
	n := int(c.Int("event-loops"))
	if n < 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return n
}

// ListenAddrs returns the TCP addresses that bind and port ask for. Port 0 is
// any free port, unless a unix socket or tls-port is configured: then, as in
// Redis, there is none.
func (c *Config) ListenAddrs() []ListenAddr {
	port := c.String("port")
	if port == "0" && (c.String("unixsocket") != "" || c.Int("tls-port") != 0) {
		return nil
	}
	return c.listenAddrs(port)
}

// ListenTLSAddrs returns those of tls-port, none if there is none.
func (c *Config) ListenTLSAddrs() []ListenAddr {
	if c.Int("tls-port") == 0 {
		return nil
	}
	return c.listenAddrs(c.String("tls-port"))
}

// listenAddrs returns the addresses of bind with a port. An empty bind is none, as in
// Redis.
func (c *Config) listenAddrs(port string) []ListenAddr {
	hosts := strings.Fields(c.String("bind"))
	addrs := make([]ListenAddr, 0, len(hosts))
	for _, h := range hosts {
		a := ListenAddr{Network: "tcp4"}
		if h, a.Optional = strings.CutPrefix(h, "-"); strings.Contains(h, ":") {
			a.Network = "tcp6"
		} else if net.ParseIP(h) == nil {
			a.Network = "tcp"
		}
		switch h {
		case "*":
			a.Network, h = "tcp4", ""
		case "::*":
			h = "::"
		}
		a.Addr = net.JoinHostPort(h, port)
		addrs = append(addrs, a)
	}
	return addrs
}

// clustered says whether the node has told others, or will, where it is reached.
func (c *Config) clustered() bool {
	return c.String("peer-addr") != "" || c.String("cluster-peers") != ""
}

// setListenAddr is listen-addr host:port, which is bind and port in one. An
// empty host is every address.
func (c *Config) setListenAddr(value string) error {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return &ParamError{"listen-addr", "must be host:port, for example 127.0.0.1:6379"}
	}
	bind := []string{host}
	if host == "" {
		bind = []string{"*", "-::*"}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return &ParamError{"listen-addr", "port must be a number from 0 to 65535"}
	}
	if err := c.setLocked(mustParam("bind"), bind); err != nil {
		return err
	}
	return c.setLocked(mustParam("port"), []string{port})
}

// listenAddr is the first address that bind and port name; "" when bind is empty.
func (c *Config) listenAddr() string {
	hosts := strings.Fields(c.String("bind"))
	if len(hosts) == 0 {
		return ""
	}
	host := strings.TrimPrefix(hosts[0], "-")
	if host == "*" || host == "::*" {
		host = ""
	}
	return net.JoinHostPort(host, c.String("port"))
}
