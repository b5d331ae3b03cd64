package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness"

	"github.com/redis/go-redis/v9"
)

// clusterLimit bounds what a test waits for.
const clusterLimit = 30 * time.Second

// clusterAddrs starts three nodes and returns their addresses.
func clusterAddrs(t *testing.T, redirect bool, flags ...string) []string {
	t.Helper()
	c := harness.StartCluster(t, harness.ClusterOptions{Flags: flags})
	var addrs []string
	for _, n := range c.Nodes() {
		addrs = append(addrs, n.Addr())
	}
	for _, n := range c.Nodes() {
		if _, err := n.Call(clusterLimit, "CONFIG", "SET", "cluster-redirect", map[bool]string{false: "no", true: "yes"}[redirect]); err != nil {
			t.Fatal(err)
		}
	}
	// The nodes tell each other their addresses for clients after they have started.
	for _, n := range c.Nodes() {
		harness.Until(t, clusterLimit, fmt.Sprintf("node %d to know all addresses", n.Number), func() bool {
			r, err := n.Call(clusterLimit, "CLUSTER", "NODES")
			return err == nil && !strings.Contains(string(r.Str), "noaddr")
		})
	}
	// Each shard elects a leader of its own, and they are spread over the nodes
	// then. There are no more shards than nodes here.
	harness.Until(t, clusterLimit, "the leaders to be spread", func() bool {
		for _, n := range c.Nodes() {
			r, err := n.Call(clusterLimit, "CLUSTER", "INFO")
			info := string(r.Str)
			if err != nil || !strings.Contains(info, "cluster_state:ok\r\n") ||
				!strings.Contains(info, "dkv_shards_led:0\r\n") && !strings.Contains(info, "dkv_shards_led:1\r\n") {
				return false
			}
		}
		return true
	})
	return addrs
}

// TestClusterClient runs a library that knows Redis Cluster against nodes that pass
// commands on, and against nodes that redirect.
func TestClusterClient(t *testing.T) {
	for _, redirect := range []bool{false, true} {
		t.Run(fmt.Sprintf("redirect %v", redirect), func(t *testing.T) {
			ctx := context.Background()
			addrs := clusterAddrs(t, redirect, "-shards", "3")
			for _, options := range []redis.ClusterOptions{{}, {ReadOnly: true}, {RouteByLatency: true}, {RouteRandomly: true}} {
				options.Addrs = addrs[:1] // the others it has to find
				useCluster(t, ctx, redis.NewClusterClient(&options))
			}
		})
	}
}

func useCluster(t *testing.T, ctx context.Context, db *redis.ClusterClient) {
	t.Helper()
	defer db.Close()
	const keys = 200
	for i := range keys {
		if err := db.Set(ctx, fmt.Sprint("key:", i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range keys {
		// go-redis may ask a follower, which waits until it has what was
		// acknowledged; after READONLY it does not wait.
		got, err := db.Get(ctx, fmt.Sprint("key:", i)).Result()
		if err != nil && (!db.Options().ReadOnly || err != redis.Nil) || err == nil && got != fmt.Sprint(i) {
			t.Fatalf("key:%d is %q, %v", i, got, err)
		}
	}
	pipe := db.Pipeline()
	for i := range keys {
		pipe.Incr(ctx, fmt.Sprint("counter:", i))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if err := db.MSet(ctx, "{tag}a", 1, "{tag}b", 2).Err(); err != nil {
		t.Error(err)
	}
	_, err := db.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Incr(ctx, "{tag}a")
		p.Incr(ctx, "{tag}b")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	err = db.Watch(ctx, func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, "{tag}a", "w", 0).Err() })
		return err
	}, "{tag}a")
	if err != nil {
		t.Error(err)
	}
	// A node that leads some shards and follows in others counts several times.
	var masters, nodes atomic.Int32
	if err := db.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { masters.Add(1); return c.Ping(ctx).Err() }); err != nil {
		t.Error(err)
	}
	if err := db.ForEachShard(ctx, func(ctx context.Context, c *redis.Client) error { nodes.Add(1); return c.Ping(ctx).Err() }); err != nil {
		t.Error(err)
	}
	if masters.Load() < 1 || nodes.Load() < 3 {
		t.Errorf("it found %d masters and %d nodes", masters.Load(), nodes.Load())
	}
}

// TestClusterReplies reads what describes a cluster with a library's parsers, on
// each node.
func TestClusterReplies(t *testing.T) {
	ctx := context.Background()
	addrs := clusterAddrs(t, false, "-shards", "2")
	ids := make(map[string]bool)
	for _, addr := range addrs {
		for _, protocol := range []int{2, 3} {
			db := redis.NewClient(&redis.Options{Addr: addr, Protocol: protocol})
			defer db.Close()
			slots, err := db.ClusterSlots(ctx).Result()
			if err != nil || len(slots) != 2 || slots[0].Start != 0 || slots[1].End != 16383 || slots[0].End+1 != slots[1].Start {
				t.Fatalf("CLUSTER SLOTS: %+v, %v", slots, err)
			}
			for _, s := range slots {
				if len(s.Nodes) < 1 {
					t.Errorf("nobody has slots %d to %d", s.Start, s.End)
				}
				for _, n := range s.Nodes {
					if !slices.Contains(addrs, n.Addr) {
						t.Errorf("CLUSTER SLOTS has a node at %s, which is none of %v", n.Addr, addrs)
					}
				}
			}
			shards, err := db.ClusterShards(ctx).Result()
			if err != nil || len(shards) != 2 || len(shards[1].Nodes) < 1 || shards[1].Slots[0].End != 16383 {
				t.Fatalf("CLUSTER SHARDS: %+v, %v", shards, err)
			}
			masters := 0
			for _, n := range shards[0].Nodes {
				if n.Role == "master" {
					masters++
				}
				if n.Health != "online" || len(n.ID) != 40 || n.Port == 0 {
					t.Errorf("CLUSTER SHARDS: %+v", n)
				}
			}
			if masters != 1 {
				t.Errorf("CLUSTER SHARDS: %d masters", masters)
			}
			links, err := db.ClusterLinks(ctx).Result()
			if err != nil || len(links) != 4 {
				t.Errorf("CLUSTER LINKS: %+v, %v", links, err)
			}
			info, err := db.ClusterInfo(ctx).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok\r\n") || !strings.Contains(info, "cluster_known_nodes:3\r\n") {
				t.Errorf("CLUSTER INFO: %s, %v", info, err)
			}
			id, err := db.ClusterMyID(ctx).Result()
			if err != nil || len(id) != 40 {
				t.Errorf("CLUSTER MYID: %s, %v", id, err)
			}
			ids[id] = true
			text, err := db.ClusterNodes(ctx).Result()
			if err != nil || strings.Count(text, "\n") != 3 || !strings.Contains(text, id+" "+addr+"@") {
				t.Errorf("CLUSTER NODES: %s, %v", text, err)
			}
			if info, err := db.Info(ctx, "cluster", "server").Result(); err != nil ||
				!strings.Contains(info, "cluster_enabled:1\r\n") || !strings.Contains(info, "redis_mode:cluster\r\n") {
				t.Errorf("INFO: %s, %v", info, err)
			}
		}
	}
	if len(ids) != 3 {
		t.Errorf("three nodes have %d ids: %v", len(ids), ids)
	}
}

// TestClusterPrograms runs redis-cli's cluster mode and its checks.
func TestClusterPrograms(t *testing.T) {
	harness.NeedProgram(t, "redis-cli", "redis-tools")
	for _, redirect := range []bool{false, true} {
		addrs := clusterAddrs(t, redirect, "-shards", "2")
		for _, addr := range addrs {
			host, port, _ := strings.Cut(addr, ":")
			for _, command := range []string{"SET a 1", "SET b 2", "INCR c", "GET a", "GET b"} {
				stdout, stderr, code := run(t, "", "redis-cli", append([]string{"-c", "-h", host, "-p", port}, strings.Fields(command)...)...)
				if code != 0 || strings.Contains(stdout, "ERR") || strings.Contains(stdout, "MOVED") {
					t.Errorf("redis-cli -c, %s: %s%s", command, stdout, stderr)
				}
			}
			stdout, stderr, code := run(t, "", "redis-cli", "--cluster", "check", addr)
			if code != 0 || !strings.Contains(stdout, "All nodes agree about slots configuration") || !strings.Contains(stdout, "All 16384 slots covered") {
				t.Errorf("redis-cli --cluster check: exit code %d\n%s%s", code, stdout, stderr)
			}
		}
	}
}
