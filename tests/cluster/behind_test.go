package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
	"dkv/tests/harness/wire"
)

// fill writes more than a cluster started with smallLogs keeps in its logs.
func fill(t *testing.T, n *harness.Node) {
	t.Helper()
	const (
		megabytes  = 12
		valueBytes = 64 << 10
	)
	c := n.Dial(t)
	text := randomText(valueBytes + 1000)
	for i := range megabytes << 20 / valueBytes {
		setUntilOK(t, c, fmt.Sprintf("fill:%d", i%50), text[i:i+valueBytes])
	}
}

// fillPast writes until victim, which does not run, can only be helped by a raft
// snapshot: a log is cut in the background, so a node that comes back at once finds
// in it what it missed.
func fillPast(t *testing.T, c *harness.Cluster, victim *harness.Node) {
	t.Helper()
	others := c.Others(victim)
	setUntilOK(t, others[0].Dial(t), "past", "v")
	from := raftPosition(t, others[0], "applied")
	fill(t, others[0])
	for _, n := range others {
		harness.Until(t, backLimit, "the log to be cut", func() bool { return raftPosition(t, n, "log_first") > from })
	}
}

// letGo waits until no log is kept for the receiver of a raft snapshot any more: one
// that is killed before that finds the log when it comes back.
func letGo(t *testing.T, c *harness.Cluster) {
	t.Helper()
	for _, n := range c.Others() {
		harness.Until(t, backLimit, "the log not to be held", func() bool { return raftPosition(t, n, "log_holds") == 0 })
	}
}

// raftPosition returns a field of the node's shard 0 in INFO raft.
func raftPosition(t *testing.T, n *harness.Node, field string) uint64 {
	t.Helper()
	line := n.Dial(t).Info("raft")["shard0"]
	for text := range strings.SplitSeq(line, ",") {
		if v, ok := strings.CutPrefix(text, field+"="); ok {
			position, err := strconv.ParseUint(v, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return position
		}
	}
	t.Fatalf("INFO raft has no %s of shard 0: %q", field, line)
	return 0
}

// randomText returns a text that no compression makes much smaller.
func randomText(n int) string {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte('!' + x%90)
	}
	return string(b)
}

// Everything that a key is comes with a raft snapshot: earlier systems lost the
// TTLs.
func TestRaftSnapshotIsWhole(t *testing.T) {
	t.Parallel()
	c := local(t, 3, smallLogs...)
	victim := c.Others(c.MustLeader(t))[0]
	other := c.Others(victim)[0]
	conn := other.Dial(t)
	conn.OK("SET", "before", "v", "PX", "3600000")
	conn.OK("SET", "changes", "v")
	conn.OK("SET", "goes", "v")
	same(t, c)
	victim.Kill()
	conn.OK("SET", "meanwhile", "v", "PX", "7200000")
	conn.Want(":1\r\n", "PERSIST", "before")
	conn.Want(":1\r\n", "PEXPIRE", "changes", "1800000")
	conn.Want(":1\r\n", "DEL", "goes")
	conn.OK("SET", "soon", "v", "PX", "1500")
	conn.OK("SELECT", "9")
	conn.OK("SET", "in9", "v", "EXAT", "4102444800")
	fillPast(t, c, victim)
	restart(t, victim)
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
	// Read as it is there, and again after it has led.
	local := victim.Dial(t)
	if got := local.Info("raft")["shard0_snapshot"]; !strings.Contains(got, "switched=1") {
		t.Fatalf("the node caught up without a raft snapshot, which this test is about: %q", got)
	}
	local.OK("READONLY")
	for range 2 {
		for key, want := range map[string]int64{"before": -1, "changes": 1_800_000, "goes": -2, "meanwhile": 7_200_000} {
			const while = 120_000
			if got := local.DoInt("PTTL", key); got != want && (want <= 0 || got > want || got < want-while) {
				t.Errorf("PTTL %s is %d on the node that got a raft snapshot, want %d", key, got, want)
			}
		}
		local.OK("SELECT", "9")
		local.Want(":4102444800\r\n", "EXPIRETIME", "in9")
		local.OK("SELECT", "0")
		harness.Until(t, backLimit, "a key to expire", func() bool { return local.DoInt("EXISTS", "soon") == 0 })
		victim.Must(t, "CLUSTER", "FAILOVER")
	}
	// It can be restarted with what it got.
	victim.Kill()
	restart(t, victim)
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
}

// A node that is killed again and again while it is sent a raft snapshot gets
// there in the end; it must not be caught in a loop of restarts.
func TestKilledWhileReceivingARaftSnapshot(t *testing.T) {
	t.Parallel()
	c := local(t, 3, append([]string{"-raft-snapshot-rate", "1mb"}, smallLogs...)...)
	victim := c.Others(c.MustLeader(t))[0]
	other := c.Others(victim)[0]
	victim.Kill()
	fillPast(t, c, victim)
	for i := range 6 {
		if err := victim.StartAndKill(time.Duration(200+i*250) * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		other.Must(t, "SET", "round", strconv.Itoa(i))
	}
	begun, done := strings.Count(victim.Logs(), "receiving a raft snapshot"), strings.Count(victim.Logs(), "received a raft snapshot")
	t.Logf("it began to receive %d raft snapshots, and received %d", begun, done)
	if begun-done < 2 {
		t.Error("it was not killed in the middle of one, which this test is about")
	}
	restart(t, victim)
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
}

// What is written while a raft snapshot is sent is more than the leader keeps of its
// log: it must keep it for the receiver, which would need another one otherwise, and
// one more after that.
func TestOneRaftSnapshotIsEnough(t *testing.T) {
	t.Parallel()
	c := local(t, 3, append([]string{"-raft-snapshot-rate", "2mb"}, smallLogs...)...)
	leader := c.MustLeader(t)
	victim := c.Others(leader)[0]
	victim.Kill()
	fillPast(t, c, victim)
	restart(t, victim)
	field := func(name string) string {
		r, err := victim.Call(replyLimit, "INFO", "raft")
		if err != nil {
			return ""
		}
		_, line, _ := strings.Cut(string(r.Str), "shard0_snapshot:")
		_, rest, _ := strings.Cut(line, name+"=")
		value, _, _ := strings.Cut(rest, ",")
		return strings.TrimSpace(value)
	}
	before := raftPosition(t, leader, "commit")
	conn := leader.Dial(t)
	text := randomText(64 << 10)
	for i, start := 0, time.Now(); field("switched") != "1"; i++ {
		if time.Since(start) > backLimit {
			t.Fatal("it was not sent a raft snapshot")
		}
		setUntilOK(t, conn, fmt.Sprintf("fill:%d", i%50), text)
	}
	t.Logf("%d entries were written meanwhile", raftPosition(t, leader, "commit")-before)
	same(t, c)
	if begun := field("begun"); begun != "1" {
		t.Errorf("it was sent %s raft snapshots", begun)
	}
	// And then the log is cut.
	fillPast(t, c, victim)
}

// A node that is killed as soon as it has switched to a raft snapshot finds a log
// that begins right behind it: earlier systems had a gap there, and did not start.
func TestNoGapBehindARaftSnapshot(t *testing.T) {
	t.Parallel()
	c := local(t, 3, smallLogs...)
	victim := c.Others(c.MustLeader(t))[0]
	other := c.Others(victim)[0]
	for round := range 3 {
		letGo(t, c)
		victim.Kill()
		fillPast(t, c, victim)
		other.Must(t, "SET", "round", strconv.Itoa(round))
		restart(t, victim)
		harness.Until(t, backLimit, "the raft snapshot", func() bool {
			r, err := victim.Call(replyLimit, "INFO", "raft")
			return err == nil && strings.Contains(string(r.Str), "switched=1")
		})
		victim.Kill()
		restart(t, victim)
		c.MustAwaitWrites(t, backLimit)
		same(t, c)
		// It goes on from there, as a leader too, and what comes then outlives it.
		harness.Until(t, backLimit, "it to lead", func() bool {
			r, err := victim.Call(replyLimit, "CLUSTER", "FAILOVER")
			return err == nil && !r.IsError()
		})
		victim.Must(t, "SET", "after", strconv.Itoa(round))
		victim.Kill()
		restart(t, victim)
		c.MustAwaitWrites(t, backLimit)
		conn := victim.Dial(t)
		for _, key := range []string{"round", "after"} {
			conn.Want(fmt.Sprintf("$1\r\n%d\r\n", round), "GET", key)
		}
	}
	same(t, c)
}

// A follower behind a slow link, or one that is stopped, does not slow down
// what the others do: a majority is enough, and nothing waits for the third.
func TestSlowFollowerBlocksNobody(t *testing.T) {
	c := wired(t)
	leader := c.MustLeader(t)
	slow, other := c.Others(leader)[0], c.Others(leader)[1]
	text := randomText(20_000)
	// measure writes for a while through a follower and returns how many were
	// acknowledged, and the longest wait for one.
	measure := func() (writes int, worst time.Duration) {
		conn := other.Dial(t)
		start := time.Now()
		for time.Since(start) < 1500*time.Millisecond {
			at := time.Now()
			conn.OK("SET", fmt.Sprintf("key:%d", writes%100), text[:writes%len(text)])
			worst = max(worst, time.Since(at))
			writes++
		}
		return writes, worst
	}
	usual, usualWorst := measure()

	c.Wire.SetLink(leader.Host.Number, slow.Host.Number, wire.Link{BytesPerSecond: 64 << 10, Delay: 50 * time.Millisecond})
	behindLink, worst := measure()
	t.Logf("writes in 1.5 s: %d (worst %v), with one follower behind a slow link %d (worst %v)", usual, usualWorst, behindLink, worst)
	if behindLink < usual/3 {
		t.Errorf("one follower behind a slow link: %d writes instead of %d", behindLink, usual)
	}
	c.Heal()
	slow.Pause()
	stopped, worst := measure()
	t.Logf("with one follower stopped %d (worst %v)", stopped, worst)
	if stopped < usual/3 {
		t.Errorf("one follower stopped: %d writes instead of %d", stopped, usual)
	}
	slow.Resume()
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
}

// A full disk stops one node, not the cluster; with space again it goes on.
func TestFullDisk(t *testing.T) {
	const diskBytes = 640 << 20
	c := harness.StartCluster(t, harness.ClusterOptions{Wire: true, DiskBytes: diskBytes, Flags: append([]string{"-cluster-timeout", "2s"}, smallLogs...)})
	for _, who := range []string{"follower", "leader"} {
		t.Run(who, func(t *testing.T) {
			victim := c.MustLeader(t)
			if who == "follower" {
				victim = c.Others(victim)[0]
			}
			l := startLoad(c)
			l.mustFlow(t)
			if err := victim.FillDisk(0); err != nil {
				t.Fatal(err)
			}
			// The others have a majority without it.
			others := c.Others(victim)
			if err := c.AwaitWrites(backLimit, others...); err != nil {
				t.Fatal(err)
			}
			fill(t, others[0])
			l.mustFlow(t)
			if !victim.Running() {
				t.Errorf("a node whose disk is full ended\n%s", victim.Logs())
				restart(t, victim)
			}
			if err := victim.FreeDisk(); err != nil {
				t.Fatal(err)
			}
			c.MustAwaitWrites(t, 2*backLimit)
			l.end()
			same(t, c)
			l.verify(t, victim)
		})
	}
}

// Raft snapshots must not pile up on the disk.
func TestRaftSnapshotsDoNotFillTheDisk(t *testing.T) {
	const diskBytes = 400 << 20
	c := harness.StartCluster(t, harness.ClusterOptions{Wire: true, DiskBytes: diskBytes, Flags: smallLogs})
	victim := c.Others(c.MustLeader(t))[0]
	var used []int64
	for range 4 {
		letGo(t, c)
		victim.Kill()
		fillPast(t, c, victim)
		restart(t, victim)
		c.MustAwaitWrites(t, backLimit)
		same(t, c)
		// Of all the states that were received one is left, in a folder of its own.
		harness.Until(t, backLimit, "one state to be left", func() bool { return len(states(t, victim)) == 1 })
		n, err := victim.DiskUsed()
		if err != nil {
			t.Fatal(err)
		}
		used = append(used, n>>20)
	}
	t.Logf("MiB used after each raft snapshot: %v", used)
	if got := states(t, victim); got[0] == "0" {
		t.Errorf("the node never switched to a raft snapshot: its state is in %v", got)
	}
	const slack = 40 // MiB: the log's files come and go
	if used[3] > used[0]+slack {
		t.Errorf("the disk fills with raft snapshots: %v MiB", used)
	}
	if strings.Contains(victim.Logs(), "MISCONF") {
		t.Error("the node refused writes")
	}
}

// states lists the folders of a node's first shard: its data, and raft snapshots.
func states(t *testing.T, n *harness.Node) (folders []string) {
	t.Helper()
	read := func() error {
		entries, err := os.ReadDir(filepath.Join(n.Dir, "data", "shards"))
		for _, e := range entries {
			if e.IsDir() {
				folders = append(folders, e.Name())
			}
		}
		return err
	}
	err := error(nil)
	if n.Host != nil {
		err = n.Host.Do(read) // its disk is seen there only
	} else {
		err = read()
	}
	if err != nil {
		t.Fatal(err)
	}
	return folders
}
