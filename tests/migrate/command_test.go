package migrate

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"
)

// pairs are the sources and targets that MIGRATE goes between; that of two Redis
// servers shows that what is expected is true.
func pairs(t *testing.T, test func(t *testing.T, source, target *harness.Server)) {
	kinds := []struct {
		name  string
		start func(t *testing.T) *harness.Server
	}{
		{"redis", func(t *testing.T) *harness.Server { return harness.Redis(t) }},
		{"dkv", func(t *testing.T) *harness.Server { return harness.Dkv(t, "-fsync", "no") }},
	}
	for _, source := range kinds {
		for _, target := range kinds {
			t.Run(source.name+" to "+target.name, func(t *testing.T) { test(t, source.start(t), target.start(t)) })
		}
	}
}

// migrateTo is a MIGRATE to a server.
func migrateTo(target *harness.Server, key, db string, more ...string) []string {
	return append([]string{"MIGRATE", "127.0.0.1", strconv.Itoa(target.Port()), key, db, "20000"}, more...)
}

// TestMigrateAll moves keys of all types, some at a time and one by one.
func TestMigrateAll(t *testing.T) {
	rng := seedOf(t)
	pairs(t, func(t *testing.T, source, target *harness.Server) {
		fill(t, source, rng, 40)
		want := ask(source, "DEBUG", "DIGEST")
		c, there := source.Dial(t), target.Dial(t)
		c.SetDeadline(time.Now().Add(patience))
		for _, db := range []string{"0", "5", "10"} {
			c.OK("SELECT", db)
			there.OK("SELECT", db)
			var keys []string
			for _, key := range c.Do("KEYS", "*").Elems {
				keys = append(keys, string(key.Str))
			}
			c.OK(migrateTo(target, keys[0], db)...)
			c.OK(migrateTo(target, "", db, append([]string{"KEYS"}, keys...)...)...)
			if left, came := c.DoInt("DBSIZE"), there.DoInt("DBSIZE"); left != 0 || came != int64(len(keys)) {
				t.Errorf("database %s: %d of %d keys have come, %d are left", db, came, len(keys), left)
			}
			if ttl := there.DoInt("PTTL", "h1"); ttl < 80000000 || ttl > 90000000 {
				t.Errorf("PTTL %d", ttl)
			}
		}
		if got := ask(target, "DEBUG", "DIGEST"); got != want || len(got) != 40 {
			t.Errorf("the digest is %s, was %s", got, want)
		}
	})
}

// TestMigrateReplies compares replies and what is where afterwards.
func TestMigrateReplies(t *testing.T) {
	pairs(t, func(t *testing.T, source, target *harness.Server) {
		c, there := source.Dial(t), target.Dial(t)
		to := func(key, db string, more ...string) []string { return migrateTo(target, key, db, more...) }
		const busy = "-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n"
		for _, key := range []string{"a", "b", "c", "KEYS", "copy"} {
			c.OK("SET", key, "of "+key)
		}
		for _, tc := range []struct {
			want string
			args []string
		}{
			{"+NOKEY\r\n", to("none", "0")},
			{"+NOKEY\r\n", to("", "0", "KEYS", "none", "not")},
			{"+NOKEY\r\n", to("", "0", "KEYS")},
			{"+NOKEY\r\n", []string{"MIGRATE", "nowhere", "1", "none", "0", "10"}},
			{"-ERR wrong number of arguments for 'migrate' command\r\n", []string{"MIGRATE", "h", "1", "a", "0"}},
			{"-ERR syntax error\r\n", to("a", "0", "MOVE")},
			{"-ERR syntax error\r\n", to("a", "0", "AUTH")},
			{"-ERR syntax error\r\n", to("a", "0", "AUTH2", "user")},
			{"-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string\r\n", to("a", "0", "KEYS", "b")},
			{"-ERR value is not an integer or out of range\r\n", to("a", "x")},
			{"-ERR value is not an integer or out of range\r\n", []string{"MIGRATE", "127.0.0.1", "1", "a", "0", "soon"}},
			{"-IOERR error or timeout writing to target instance\r\n", []string{"MIGRATE", "127.0.0.1", "1", "a", "0", "100"}},
			{"-IOERR error or timeout connecting to the client\r\n", []string{"MIGRATE", "no host", "1", "a", "0", "100"}},
			{"-ERR Target instance replied with error: ERR DB index is out of range\r\n", to("c", "99")},
			{"+OK\r\n", to("a", "0", "COPY")},
			{busy, to("a", "0", "COPY")},
			{busy, to("a", "0")},
			{busy, to("", "0", "KEYS", "a", "b")}, // b goes, a stays
			{"+OK\r\n", to("a", "0", "replace")},
			{"+OK\r\n", to("", "0", "keys", "KEYS", "copy", "none")},
			{"+OK\r\n", to("c", "3")},
			{":0\r\n", []string{"DBSIZE"}},
		} {
			if r := c.Do(tc.args...); string(r.Raw) != tc.want {
				t.Errorf("%s\n got %s\nwant %q", tc.args, r, tc.want)
			}
		}
		for _, key := range []string{"a", "b", "KEYS", "copy"} {
			there.Want(fmt.Sprintf("$%d\r\nof %s\r\n", 3+len(key), key), "GET", key)
		}
		there.OK("SELECT", "3")
		there.Want("$4\r\nof c\r\n", "GET", "c")
	})
}

// TestMigrateAuth logs in at the target.
func TestMigrateAuth(t *testing.T) {
	pairs(t, func(t *testing.T, source, target *harness.Server) {
		target.Dial(t).OK("CONFIG", "SET", "requirepass", "secret")
		c := source.Dial(t)
		c.OK("SET", "a", "1")
		c.OK("SET", "b", "2")
		for _, tc := range []struct {
			want string
			args []string
		}{
			{"-ERR Target instance replied with error: NOAUTH Authentication required.\r\n", migrateTo(target, "a", "0")},
			{"-ERR Target instance replied with error: WRONGPASS invalid username-password pair or user is disabled.\r\n",
				migrateTo(target, "a", "0", "AUTH", "wrong")},
			{"+OK\r\n", migrateTo(target, "a", "0", "AUTH", "secret")},
			{"+OK\r\n", migrateTo(target, "", "1", "AUTH2", "default", "secret", "KEYS", "b")},
			{":0\r\n", []string{"DBSIZE"}},
		} {
			if r := c.Do(tc.args...); string(r.Raw) != tc.want {
				t.Errorf("%s\n got %s\nwant %q", tc.args, r, tc.want)
			}
		}
	})
}

// falseTarget listens as a server would and has f reply to each request, "": nothing.
// goOn says whether the connection stays.
func falseTarget(t *testing.T, f func(args []string) (reply string, goOn bool)) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serveFalse(harness.NewConn(nc), f)
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

func serveFalse(c *harness.Conn, f func(args []string) (reply string, goOn bool)) {
	defer c.Close()
	for {
		request, err := c.Read()
		if err != nil {
			return
		}
		var args []string
		for _, e := range request.Elems {
			args = append(args, string(e.Str))
		}
		reply, goOn := f(args)
		if err := c.Send(reply); err != nil || !goOn {
			return
		}
	}
}

// TestMigrateBrokenOff has the target go after some keys: these are gone here, the others
// are not.
func TestMigrateBrokenOff(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *harness.Server{
		"redis": func(t *testing.T) *harness.Server { return harness.Redis(t) },
		"dkv":   func(t *testing.T) *harness.Server { return harness.Dkv(t) },
	} {
		t.Run(name, func(t *testing.T) {
			taken := 0
			port := falseTarget(t, func(args []string) (string, bool) {
				if args[0] == "SELECT" {
					return "+OK\r\n", true
				}
				if taken++; taken < 10 {
					return "", true // a reply would be lost when there is more to read at the end
				}
				return "+OK\r\n+OK\r\n+OK\r\n", false
			})
			c := start(t).Dial(t)
			args := []string{"MIGRATE", "127.0.0.1", port, "", "0", "5000", "KEYS"}
			for i := range 10 {
				c.OK("SET", fmt.Sprint("k", i), "v")
				args = append(args, fmt.Sprint("k", i))
			}
			c.Want("-IOERR error or timeout reading to target instance\r\n", args...)
			for i := range 10 {
				want := ":1\r\n"
				if i < 3 {
					want = ":0\r\n"
				}
				c.Want(want, "EXISTS", fmt.Sprint("k", i))
			}
		})
	}
}

// TestMigrateHoldsNobodyUp has a target that never answers: who writes the same key
// meanwhile does not wait for it, as they would in Redis.
func TestMigrateHoldsNobodyUp(t *testing.T) {
	harness.NeedItself(t)
	srv := harness.Dkv(t)
	asked, over := make(chan struct{}), make(chan struct{})
	port := falseTarget(t, func([]string) (string, bool) {
		close(asked)
		<-over
		return "", false
	})
	c, other := srv.Dial(t), srv.Dial(t)
	c.OK("SET", "k", "old")
	replied := make(chan string, 1)
	go func() { replied <- string(c.Do("MIGRATE", "127.0.0.1", port, "k", "0", "3600000").Raw) }()
	<-asked
	other.OK("SET", "k", "new")
	other.Want("$3\r\nnew\r\n", "GET", "k")
	select {
	case r := <-replied:
		t.Errorf("MIGRATE did not wait: %q", r)
	default:
	}
	close(over)
	if r := <-replied; r != "-IOERR error or timeout reading to target instance\r\n" {
		t.Errorf("%q", r)
	}
	other.Want("$3\r\nnew\r\n", "GET", "k")
	c.Want("-IOERR error or timeout reading to target instance\r\n", "MIGRATE", "127.0.0.1", silent(t), "k", "0", "50")
	// Whoever asks may go: nothing waits for the target then.
	c.OK("CLIENT", "SETNAME", "asker")
	before := strings.Count(string(other.Do("CLIENT", "LIST").Str), "\n")
	c.Queue("MIGRATE", "127.0.0.1", silent(t), "k", "0", "3600000")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, patience, "MIGRATE to run", func() bool {
		return strings.Contains(string(other.Do("CLIENT", "LIST").Str), "name=asker")
	})
	other.Do("CLIENT", "KILL", "SKIPME", "yes")
	harness.Until(t, patience, "the client to be gone", func() bool {
		return strings.Count(string(other.Do("CLIENT", "LIST").Str), "\n") < before
	})
}

// silent is the port of a server that takes connections and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestMigrateOfWhatChanges has a key changed while the target has it: what is there in
// the end is what was here in the end.
func TestMigrateOfWhatChanges(t *testing.T) {
	harness.NeedItself(t)
	srv := harness.Dkv(t)
	other := srv.Dial(t)
	moved := falseTarget(t, func([]string) (string, bool) { return "+OK\r\n", true })
	for _, tc := range []struct {
		name    string
		change  [][]string // after each request
		want    string     // the reply
		asked   string     // of the target
		remains int64
	}{
		{"once", [][]string{{"APPEND", "k", "1"}}, "+OK\r\n", "RESTORE RESTORE/REPLACE", 0},
		{"twice", [][]string{{"APPEND", "k", "1"}, {"APPEND", "k", "2"}}, "+OK\r\n", "RESTORE RESTORE/REPLACE RESTORE/REPLACE", 0},
		{"deleted", [][]string{{"DEL", "k"}}, "-IOERR the key was deleted after it had been sent, the target instance has it\r\n", "RESTORE", 0},
		{"moved by another", [][]string{{"MIGRATE", "127.0.0.1", moved, "k", "0", "5000"}}, "-IOERR the key was deleted after it had been sent, the target instance has it\r\n", "RESTORE", 0},
		{"changed, then deleted", [][]string{{"APPEND", "k", "1"}, {"DEL", "k"}}, "-IOERR the key was deleted after it had been sent, the target instance has it\r\n", "RESTORE RESTORE/REPLACE", 0},
		{"another", [][]string{{"SET", "other", "1"}}, "+OK\r\n", "RESTORE", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var asked []string
			changes := tc.change
			port := falseTarget(t, func(args []string) (string, bool) {
				word := args[0]
				if args[len(args)-1] == "REPLACE" {
					word += "/REPLACE"
				}
				asked = append(asked, word)
				if len(changes) > 0 {
					other.Do(changes[0]...)
					changes = changes[1:]
				}
				return "+OK\r\n", true
			})
			c := srv.Dial(t)
			c.OK("SET", "k", "0")
			c.Want(tc.want, "MIGRATE", "127.0.0.1", port, "k", "0", "5000")
			if got := strings.Join(asked, " "); got != tc.asked {
				t.Errorf("the target was asked %s, want %s", got, tc.asked)
			}
			if got := c.DoInt("EXISTS", "k"); got != tc.remains {
				t.Errorf("EXISTS %d, want %d", got, tc.remains)
			}
		})
	}
	var asked atomic.Int64
	port := falseTarget(t, func([]string) (string, bool) {
		asked.Add(1)
		other.Do("INCR", "k")
		return "+OK\r\n", true
	})
	c := srv.Dial(t)
	c.OK("SET", "k", "0")
	c.Want("-IOERR the key was changed whenever it had been sent, it is in both instances\r\n", "MIGRATE", "127.0.0.1", port, "k", "0", "5000")
	c.Want(fmt.Sprintf("$2\r\n%d\r\n", asked.Load()), "GET", "k")
	c.OK("MULTI")
	c.Want("-ERR Command not allowed inside a transaction\r\n", "MIGRATE", "127.0.0.1", port, "k", "0", "5000")
	c.Want("-EXECABORT Transaction discarded because of previous errors.\r\n", "EXEC")
}

// TestMigrateKilledTarget kills the target while keys come, again and again. No key is
// ever in neither of both.
func TestMigrateKilledTarget(t *testing.T) {
	harness.NeedItself(t)
	rng := seedOf(t)
	const keys, batch = 3000, 100
	source, target := harness.Dkv(t, "-fsync", "no"), harness.Dkv(t)
	c := source.Dial(t)
	c.SetDeadline(time.Now().Add(patience))
	for i := range keys {
		c.Queue("SET", fmt.Sprint("k", i), fmt.Sprint("value of ", i))
	}
	flush(t, c.Conn, keys)
	port, kills, broken := strconv.Itoa(target.Port()), 0, 0
	for first := 0; first < keys; first += batch {
		args := []string{"MIGRATE", "127.0.0.1", port, "", "0", "2000", "REPLACE", "KEYS"}
		for i := range batch {
			args = append(args, fmt.Sprint("k", first+i))
		}
		killing := make(chan struct{})
		if first/batch%6 == 2 {
			wait := time.Duration(rng.Int64N(int64(4 * time.Millisecond)))
			go func() { time.Sleep(wait); target.Kill(); close(killing) }() // the moment is the random choice
			kills++
		} else {
			close(killing)
		}
		for {
			r := c.Do(args...)
			if string(r.Raw) == "+OK\r\n" || string(r.Raw) == "+NOKEY\r\n" {
				break
			}
			if !strings.HasPrefix(string(r.Raw), "-IOERR ") {
				t.Fatalf("MIGRATE: %s", r)
			}
			broken++
			<-killing
			target.MustStart(t)
			port = strconv.Itoa(target.Port())
			args[2] = port
		}
		<-killing
		if ask(target, "PING") != "PONG" {
			target.MustStart(t)
			port = strconv.Itoa(target.Port())
		}
	}
	t.Logf("%d kills, %d calls broken off", kills, broken)
	if left := c.DoInt("DBSIZE"); left != 0 {
		t.Errorf("%d keys are left", left)
	}
	there := target.Dial(t)
	for i := range keys {
		want := fmt.Sprint("value of ", i)
		if r := there.Do("GET", fmt.Sprint("k", i)); string(r.Str) != want {
			t.Fatalf("k%d is %s at the target", i, r)
		}
	}
}

// TestMigrateOfCluster moves keys of several shards from a node that leads few of them,
// and into a cluster.
func TestMigrateOfCluster(t *testing.T) {
	harness.NeedItself(t)
	cluster := harness.StartCluster(t, harness.ClusterOptions{Flags: []string{"-shards", "4"}})
	target := harness.Dkv(t)
	n := cluster.Nodes()[1]
	args := migrateTo(target, "", "0", "KEYS")
	for i := range 400 {
		key := fmt.Sprint("k", i, "-", rand.Uint64())
		n.Must(t, "SET", key, key)
		args = append(args, key)
	}
	if r := n.Must(t, args...); string(r.Str) != "OK" {
		t.Fatalf("%s", r)
	}
	if r := cluster.Nodes()[0].Must(t, "DBSIZE"); string(r.Raw) != ":1\r\n" { // the harness has one
		t.Errorf("DBSIZE of the cluster: %s", r)
	}
	c := target.Dial(t)
	if got := c.DoInt("DBSIZE"); got != 400 {
		t.Errorf("DBSIZE of the target: %d", got)
	}
	args[2] = strconv.Itoa(n.Port())
	c.OK(args...)
	if r := cluster.Nodes()[2].Must(t, "DBSIZE"); string(r.Raw) != ":401\r\n" {
		t.Errorf("DBSIZE of the cluster: %s", r)
	}
}

// TestMigrateThroughLeaderChange kills the leader while the target has the key: the next
// leader deletes it, once it knows that it was not changed.
func TestMigrateThroughLeaderChange(t *testing.T) {
	harness.NeedItself(t)
	cluster := harness.StartCluster(t, harness.ClusterOptions{})
	leader := cluster.MustLeader(t)
	n := cluster.Others(leader)[0]
	n.Must(t, "SET", "k", "v")
	var requests atomic.Int64
	port := falseTarget(t, func([]string) (string, bool) {
		if requests.Add(1) == 1 {
			leader.Kill()
		}
		return "+OK\r\n", true
	})
	r, err := n.Call(patience, "MIGRATE", "127.0.0.1", port, "k", "0", "20000")
	if err == nil && strings.HasPrefix(string(r.Str), "UNCERTAIN ") {
		// The deletion had been sent to the leader when that died: it is asked again.
		if r, err = n.Call(patience, "MIGRATE", "127.0.0.1", port, "k", "0", "20000", "REPLACE"); string(r.Str) == "NOKEY" {
			r.Str = []byte("OK")
		}
	}
	if err != nil || string(r.Str) != "OK" {
		t.Errorf("%s, %v", r, err)
	}
	if r := n.Must(t, "EXISTS", "k"); string(r.Raw) != ":0\r\n" {
		t.Errorf("EXISTS: %s", r)
	}
	if requests.Load() == 0 {
		t.Error("the target was asked nothing")
	}
	leader.MustStart(t)
}
