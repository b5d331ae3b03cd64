package server

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// migrating are two servers, and a client of each.
type migrating struct {
	t        *testing.T
	from, to *client
	source   *Server
	target   *Server
	port     string
}

func newMigrating(t *testing.T, settings ...string) *migrating {
	m := &migrating{t: t, source: startServer(t), target: startServer(t, settings...)}
	m.from, m.to = dial(t, m.source), dial(t, m.target)
	_, m.port, _ = net.SplitHostPort(m.target.Addr().String())
	return m
}

func (m *migrating) migrate(words ...string) string {
	return m.from.do(append([]string{"MIGRATE", "127.0.0.1", m.port}, words...)...)
}

func (m *migrating) expect(who *client, line, want string) {
	m.t.Helper()
	if got := who.do(strings.Fields(line)...); got != want {
		m.t.Errorf("%s: %q, want %q", line, got, want)
	}
}

func TestMigrate(t *testing.T) {
	m := newMigrating(t)
	m.expect(m.from, "SET k v PX 100000", "+OK\r\n")
	m.expect(m.from, "RPUSH list a b c", ":3\r\n")
	m.expect(m.from, "HSET h f 1", ":1\r\n")
	var big []string
	for i := range 3000 {
		big = append(big, fmt.Sprint("member", i))
	}
	m.from.do(append([]string{"SADD", "big"}, big...)...)

	if got := m.migrate("none", "0", "5000"); got != "+NOKEY\r\n" {
		t.Errorf("no key: %q", got)
	}
	if got := m.migrate("k", "0", "5000"); got != "+OK\r\n" {
		t.Errorf("a key: %q", got)
	}
	m.expect(m.from, "EXISTS k", ":0\r\n")
	m.expect(m.to, "GET k", "$1\r\nv\r\n")
	if ttl := m.to.do("PTTL", "k"); ttl < ":9" || ttl > ":99999\r\n" {
		t.Errorf("PTTL %q", ttl)
	}
	if got := m.migrate("list", "3", "5000", "COPY"); got != "+OK\r\n" {
		t.Errorf("COPY: %q", got)
	}
	if got := m.migrate("list", "3", "5000", "copy"); got != "-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n" {
		t.Errorf("COPY again: %q", got)
	}
	if got := m.migrate("list", "3", "5000", "replace"); got != "+OK\r\n" {
		t.Errorf("REPLACE: %q", got)
	}
	m.expect(m.from, "EXISTS list", ":0\r\n")
	m.expect(m.to, "EXISTS list", ":0\r\n") // not into the database that was selected before
	m.to.do("SELECT", "3")
	m.expect(m.to, "LRANGE list 0 -1", bulks("a", "b", "c"))
	m.to.do("SELECT", "0")

	// Some exist, one is there already: all the others move.
	m.expect(m.to, "SET h there", "+OK\r\n")
	if got := m.migrate("", "0", "5000", "KEYS", "x", "big", "y", "h"); !strings.HasPrefix(got, "-ERR Target instance replied with error: BUSYKEY") {
		t.Errorf("KEYS: %q", got)
	}
	m.expect(m.from, "EXISTS big h", ":1\r\n")
	m.expect(m.to, "SCARD big", ":3000\r\n")

	if got := m.migrate("h", "99", "5000"); !strings.HasPrefix(got, "-ERR Target instance replied with error: ERR DB index is out of range") {
		t.Errorf("no such database: %q", got)
	}
	m.expect(m.from, "EXISTS h", ":1\r\n")
	m.expect(m.to, "GET h", "$5\r\nthere\r\n")
}

func TestMigrateMany(t *testing.T) {
	m := newMigrating(t)
	args := []string{"", "0", "5000", "REPLACE", "KEYS"}
	for i := range 5 * migrateBatch / 2 {
		key := fmt.Sprint("key", i)
		m.from.do("SET", key, strings.Repeat("x", i*500))
		args = append(args, key)
	}
	if got := m.migrate(args...); got != "+OK\r\n" {
		t.Fatalf("%q", got)
	}
	m.expect(m.from, "DBSIZE", ":0\r\n")
	m.expect(m.to, "DBSIZE", fmt.Sprintf(":%d\r\n", 5*migrateBatch/2))
	m.expect(m.to, "STRLEN key100", ":50000\r\n")
}

func TestMigrateRefuses(t *testing.T) {
	m := newMigrating(t)
	m.from.do("SET", "k", "v")
	for _, c := range []struct{ args, want string }{
		{"k 0", "-ERR wrong number of arguments for 'migrate' command"},
		{"k 0 100 KEYS a", "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"},
		{"k 0 100 AUTH", "-ERR syntax error"},
		{"k 0 100 AUTH2 user", "-ERR syntax error"},
		{"k 0 100 NONSENSE", "-ERR syntax error"},
		{"k x 100", "-ERR value is not an integer or out of range"},
		{"k 0 x", "-ERR value is not an integer or out of range"},
	} {
		if got := m.migrate(strings.Fields(c.args)...); got != c.want+"\r\n" {
			t.Errorf("%s: %q", c.args, got)
		}
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, port, _ := net.SplitHostPort(silent.Addr().String())
	m.expect(m.from, "MIGRATE 127.0.0.1 "+port+" k 0 50", "-IOERR error or timeout reading to target instance\r\n")
	silent.Close()
	m.expect(m.from, "MIGRATE 127.0.0.1 "+port+" k 0 50", "-IOERR error or timeout writing to target instance\r\n")
	m.expect(m.from, "MIGRATE no-such-host.invalid 1 k 0 50", "-IOERR error or timeout connecting to the client\r\n")
	m.expect(m.from, "MULTI", "+OK\r\n")
	m.migrate("k", "0", "5000")
	m.expect(m.from, "EXEC", "*1\r\n-"+string(errMigrateInMulti)+"\r\n")
	m.expect(m.from, "GET k", "$1\r\nv\r\n")
}

func TestMigrateAuth(t *testing.T) {
	m := newMigrating(t, "requirepass", "secret")
	m.from.do("SET", "k", "v")
	for _, words := range [][]string{{"k", "0", "5000"}, {"k", "0", "5000", "AUTH", "wrong"}, {"k", "0", "5000", "AUTH2", "default", "wrong"}} {
		if got := m.migrate(words...); !strings.HasPrefix(got, "-ERR Target instance replied with error: ") {
			t.Errorf("%v: %q", words, got)
		}
	}
	if got := m.migrate("k", "0", "5000", "AUTH", "secret"); got != "+OK\r\n" {
		t.Errorf("AUTH: %q", got)
	}
	m.from.do("SET", "k", "v")
	m.to.do("AUTH", "secret")
	m.to.do("CONFIG", "SET", "requirepass", "other")
	if got := m.migrate("k", "0", "5000", "AUTH", "secret"); !strings.HasPrefix(got, "-ERR Target instance replied with error: WRONGPASS") {
		t.Errorf("a password that does not hold any more: %q", got)
	}
	m.to.do("CONFIG", "SET", "requirepass", "secret")
	if got := m.migrate("k", "0", "5000"); !strings.HasPrefix(got, "-ERR Target instance replied with error: NOAUTH") {
		t.Errorf("another's connection was used: %q", got)
	}
	if got := m.migrate("k", "0", "5000", "AUTH2", "default", "secret", "REPLACE"); got != "+OK\r\n" {
		t.Errorf("AUTH2: %q", got)
	}
}

// A connection that the other side has closed since is made anew.
func TestMigrateKeepsConnections(t *testing.T) {
	m := newMigrating(t)
	for i := range 3 {
		m.from.do("SET", "k", fmt.Sprint(i))
		if got := m.migrate("k", "0", "5000", "REPLACE"); got != "+OK\r\n" {
			t.Fatalf("%q", got)
		}
		if n := m.source.migrating.count(); n != 1 {
			t.Errorf("%d connections are kept", n)
		}
		if i == 1 {
			m.to.do("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal")
		}
	}
	m.expect(m.to, "GET k", "$1\r\n2\r\n")
	if !strings.Contains(m.from.do("INFO", "stats"), "migrate_cached_sockets:1\r\n") {
		t.Error("INFO does not tell of it")
	}
}

// A key that is changed while it is under way stays.
func TestMigrateOfAChangedKey(t *testing.T) {
	s := startServer(t)
	c, other := dial(t, s), dial(t, s)
	c.do("SET", "k", "old")
	c.do("SET", "same", "v")
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	_, port, _ := net.SplitHostPort(target.Addr().String())
	c.send(request("MIGRATE", "127.0.0.1", port, "", "0", "20000", "KEYS", "k", "same"))

	nc, err := target.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fake := &client{t, nc, bufio.NewReader(nc)}
	fake.expect(request("SELECT", "0"))
	fake.send("+OK\r\n")
	for _, key := range []string{"k", "same"} {
		fake.expect("*4\r\n$7\r\nRESTORE\r\n" + bulks(key)[4:] + "$1\r\n0\r\n")
		fake.reply() // the payload
	}
	other.do("SET", "k", "new")
	fake.send("+OK\r\n+OK\r\n")
	c.expect("-" + string(errMigrateChanged) + "\r\n")
	c.roundTrip(request("GET", "k"), "$3\r\nnew\r\n")
	c.roundTrip(request("EXISTS", "same"), ":0\r\n")
}
