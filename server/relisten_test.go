package server

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// freePort is a port that nobody listens on, as far as one can know.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// reaches says whether somebody listens on an address and answers.
func reaches(addr string) bool {
	c, err := net.Dial("tcp4", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	buf := make([]byte, len("+PONG\r\n"))
	n, err := c.Read(buf)
	return err == nil && string(buf[:n]) == "+PONG\r\n"
}

// TestPortAndBindChange: CONFIG SET moves the server, who is connected stays, and what
// cannot be had changes nothing.
func TestPortAndBindChange(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, used, _ := net.SplitHostPort(taken.Addr().String())
	socket := filepath.Join(t.TempDir(), "s")
	s := startServer(t, "unixsocket", socket, "port", freePort(t))
	c := dial(t, s)
	first := s.Addr().String()
	port := freePort(t)
	c.want(ok, "CONFIG", "SET", "port", port)
	if reaches(first) || !reaches("127.0.0.1:"+port) {
		t.Fatalf("it is on %s, want port %s", s.Addr(), port)
	}
	if got := c.do("INFO", "server"); !strings.Contains(got, "tcp_port:"+port+"\r\n") {
		t.Errorf("INFO: %q", got)
	}
	const refused = "-ERR CONFIG SET failed (possibly related to argument "
	c.want(refused+"'port') - Unable to listen on this port. Check server logs.\r\n", "CONFIG", "SET", "port", used)
	c.want(refused+"'bind') - Failed to bind to specified addresses.\r\n", "CONFIG", "SET", "bind", "999.999.999.999")
	c.want(refused+"'bind') - Failed to bind to specified addresses.\r\n", "CONFIG", "SET", "maxclients", "77", "bind", "127.0.0.1 999.999.999.999")
	c.want(bulks("bind", "127.0.0.1"), "CONFIG", "GET", "bind")
	c.want(bulks("port", port), "CONFIG", "GET", "port")
	c.want(bulks("maxclients", "10000"), "CONFIG", "GET", "maxclients")
	if !reaches("127.0.0.1:" + port) {
		t.Fatal("a refused change has closed the port")
	}
	// An address that stays is not closed, one that the machine may lack is skipped.
	c.want(ok, "CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2 -192.0.2.1")
	if !reaches("127.0.0.1:"+port) || !reaches("127.0.0.2:"+port) {
		t.Error("it is not on both addresses")
	}
	c.want(ok, "CONFIG", "SET", "bind", "127.0.0.2", "port", port)
	if reaches("127.0.0.1:"+port) || !reaches("127.0.0.2:"+port) {
		t.Error("it is not on the second address only")
	}
	c.want(ok, "CONFIG", "SET", "bind", "")
	c.want(bulks("bind", ""), "CONFIG", "GET", "bind")
	if reaches("127.0.0.1:"+port) || reaches("127.0.0.2:"+port) {
		t.Error("it is still on an address")
	}
	c.want(ok, "CONFIG", "SET", "bind", "*")
	if !reaches("127.0.0.1:"+port) || !reaches("127.0.0.2:"+port) {
		t.Error("it is not on all addresses")
	}
	// Without a port the socket is left.
	c.want(ok, "CONFIG", "SET", "port", "0")
	if reaches("127.0.0.1:" + port) {
		t.Error("it listens without a port")
	}
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	c.want("+PONG\r\n", "PING")
	c.want(ok, "CONFIG", "SET", "port", port)
	if !reaches("127.0.0.1:" + port) {
		t.Error("it does not listen again")
	}
}

// TestClusterNodeKeepsItsAddress: what others were told stays true.
func TestClusterNodeKeepsItsAddress(t *testing.T) {
	s := startServer(t, "peer-addr", "127.0.0.1:1", "cluster-peers", "127.0.0.1:1")
	c := dial(t, s)
	const refused = "-ERR CONFIG SET failed (possibly related to argument 'port') - the other nodes of the cluster know this one by its address: " +
		"set it in the configuration file and restart the node\r\n"
	c.want(refused, "CONFIG", "SET", "port", freePort(t))
	c.want(ok, "CONFIG", "SET", "port", "0") // what it is
	if !reaches(s.Addr().String()) {
		t.Error("it is gone")
	}
}
