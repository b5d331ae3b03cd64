package server

import (
	"context"
	"strings"

	"dkv/cluster"
	"dkv/cluster/slot"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("cluster|keyslot", clusterKeySlot)
	bind("cluster|myid", clusterMyID)
	bind("cluster|myshardid", clusterMyShardID)
	bind("cluster|info", clusterInfo)
	bind("cluster|countkeysinslot", clusterCountKeys)
	bind("cluster|getkeysinslot", clusterGetKeys)
	bind("cluster|listnodes", clusterListNodes)
	bind("cluster|nodes", ifCluster(clusterNodes))
	bind("cluster|slots", ifCluster(clusterSlots))
	bind("cluster|shards", ifCluster(clusterShards))
	bind("cluster|links", ifCluster(clusterLinks))
	bind("cluster|replicas", ifCluster(clusterReplicas))
	bind("cluster|slaves", ifCluster(clusterReplicas))
	bind("cluster|count-failure-reports", ifCluster(clusterFailureReports))
	bind("cluster|saveconfig", ifCluster(clusterSaveConfig))
	bind("cluster|help", clusterHelp)
}

const (
	errClusterDisabled resp.Error = "ERR This instance has cluster support disabled"
	errInvalidSlot     resp.Error = "ERR Invalid slot"
	errInvalidSlotKeys resp.Error = "ERR Invalid slot or number of keys"
)

// clusterEnabled says whether clients are to treat the node as one of a cluster:
// it has an address for peers, though it may be the only member.
func (s *Server) clusterEnabled() bool { return s.node.ClusterInfo().Enabled }

// mode is what HELLO and INFO call this: cluster, or standalone.
func (s *Server) mode() string {
	if s.clusterEnabled() {
		return "cluster"
	}
	return "standalone"
}

// ifCluster is for what client libraries probe a server with: a node that stands
// alone answers as a Redis does that is in no cluster, so that they treat it as
// one.
func ifCluster(h handler) handler {
	return func(c *Conn, x *command.Ctx) error {
		if !c.srv.clusterEnabled() {
			return errClusterDisabled
		}
		return h(c, x)
	}
}

func clusterKeySlot(_ *Conn, x *command.Ctx) error {
	x.Out.Int(int64(slot.Of(x.Args[2])))
	return nil
}

func clusterMyID(c *Conn, x *command.Ctx) error {
	info := c.srv.node.ClusterInfo()
	x.Out.BulkString(nodeName(info.ClusterID, info.Self))
	return nil
}

func clusterMyShardID(c *Conn, x *command.Ctx) error {
	t := c.srv.topology()
	for _, id := range t.leads(t.self) {
		x.Out.BulkString(shardName(t.info.ClusterID, id))
		return nil
	}
	x.Out.BulkString(shardName(t.info.ClusterID, 0))
	return nil
}

func clusterInfo(c *Conn, x *command.Ctx) error {
	sent, received := c.srv.peerMessages()
	x.Out.Verbatim("txt", c.srv.topology().clusterInfo(sent, received))
	return nil
}

func clusterNodes(c *Conn, x *command.Ctx) error {
	x.Out.Verbatim("txt", c.srv.topology().nodes())
	return nil
}

func clusterSlots(c *Conn, x *command.Ctx) error {
	c.srv.topology().writeSlots(x.Out)
	return nil
}

func clusterShards(c *Conn, x *command.Ctx) error {
	c.srv.topology().writeShards(x.Out)
	return nil
}

// clusterListNodes is CLUSTER LISTNODES. It asks the shards' leaders, so that all
// nodes reply the same. A node that is in no cluster, yet or any more, says so.
func clusterListNodes(c *Conn, x *command.Ctx) error {
	info := c.srv.node.ClusterInfo()
	if info.Reason != "" {
		return resp.Error(info.Reason)
	}
	newTopology(info, c.survey()).writeNodes(x.Out)
	return nil
}

// survey lists the members with what the shards' leaders say of them. A
// transaction asks nobody: it has to go on.
func (c *Conn) survey() []cluster.Member {
	ctx, cancel := c.context()
	defer cancel()
	if c.txn.running {
		cancel()
	} else if !c.muting() {
		c.flush() // the replies to what came before are not held back
	}
	return c.srv.node.Survey(ctx)
}

func clusterSaveConfig(_ *Conn, x *command.Ctx) error {
	x.Out.OK()
	return nil
}

// clusterReplicas is CLUSTER REPLICAS node-id: the lines of CLUSTER NODES of those
// that are shown to follow a node.
func clusterReplicas(c *Conn, x *command.Ctx) error {
	t := c.srv.topology()
	at := t.named(string(x.Args[2]))
	if at < 0 {
		return errUnknownNode(x.Args[2])
	}
	if len(t.leads(at)) == 0 {
		return resp.Error("ERR The specified node is not a master")
	}
	var lines []string
	for i := range t.members {
		if len(t.leads(i)) == 0 && t.masterOf(i) == at {
			lines = append(lines, t.nodeLine(i))
		}
	}
	x.Out.Array(len(lines))
	for _, l := range lines {
		x.Out.BulkString(l)
	}
	return nil
}

func clusterFailureReports(c *Conn, x *command.Ctx) error {
	t := c.srv.topology()
	at := t.named(string(x.Args[2]))
	if at < 0 {
		return errUnknownNode(x.Args[2])
	}
	x.Out.Int(int64(oneIf(!t.members[at].Connected)))
	return nil
}

func errUnknownNode(name []byte) resp.Error {
	return resp.Error("ERR Unknown node " + cText(name))
}

// slotArg reads the number of a slot; ok is false when it is none.
func slotArg(arg []byte) (s slot.Slot, ok bool, err error) {
	n, err := parseInt(arg)
	if err != nil {
		return 0, false, err
	}
	return slot.Slot(n), n >= 0 && n < slot.Count, nil
}

func clusterCountKeys(c *Conn, x *command.Ctx) error {
	s, ok, err := slotArg(x.Args[2])
	if err != nil {
		return err
	}
	if !ok {
		return errInvalidSlot
	}
	n := int64(0)
	err = c.keysInSlot(x, s, func([]byte) bool { n++; return true })
	if err != nil {
		return err
	}
	x.Out.Int(n)
	return nil
}

func clusterGetKeys(c *Conn, x *command.Ctx) error {
	s, ok, err := slotArg(x.Args[2])
	if err != nil {
		return err
	}
	limit, err := parseInt(x.Args[3])
	if err != nil {
		return err
	}
	if !ok || limit < 0 {
		return errInvalidSlotKeys
	}
	var keys resp.Writer
	n := 0
	if limit > 0 {
		err = c.keysInSlot(x, s, func(key []byte) bool {
			keys.Bulk(key)
			n++
			return int64(n) < limit
		})
		if err != nil {
			return err
		}
	}
	x.Out.Array(n)
	x.Out.Raw(keys.Buf)
	return nil
}

// keysInSlot calls emit for the keys of a slot in the connection's database until
// that returns false.
func (c *Conn) keysInSlot(x *command.Ctx, s slot.Slot, emit func(key []byte) bool) error {
	node := c.srv.node
	ctx, cancel := c.context()
	defer cancel()
	var tx keyspace.Tx
	o := cluster.ReadOptions{Snapshot: true}
	err := node.Read(ctx, slot.NewMap(node.Shards()).ShardOf(s), &tx, o)
	defer tx.Close()
	if err != nil {
		return resp.Error(err.Error())
	}
	return tx.KeysInSlot(x.DB, s, emit)
}

// context ends when the connection is cut or the server closes. The caller
// must cancel.
func (c *Conn) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-c.cut:
			cancel()
		case <-c.srv.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// clusterHelp is CLUSTER HELP.
var clusterHelp = help("CLUSTER", strings.Split(strings.TrimSpace(`
ADDNODE <url> [ASYNC]
    Add a node that was started with -join; wait until it votes, with ASYNC not.
COUNT-FAILURE-REPORTS <node-id>
    Return 1 when this node has no connection to <node-id>.
COUNTKEYSINSLOT <slot>
    Return the number of keys in <slot>.
FAILOVER [FORCE|TAKEOVER]
    Make this node the leader of all shards.
GETKEYSINSLOT <slot> <count>
    Return key names of a slot.
INFO
    Return information about the cluster.
KEYSLOT <key>
    Return the hash slot for <key>.
LINKS
    Return information about the connections between this node and its peers.
LISTNODES
    Return all nodes with their addresses, state, and for each shard their role,
    term, and how far they are behind. What is not known is null.
MYID
    Return the node id.
MYSHARDID
    Return the id of a shard that this node leads, or else of the first.
NODES
    Return the nodes as lines. Output format:
    <id> <ip:port@peer-port> <flags> <master> <pings> <pongs> <term> <link> <slot> ...
REMOVENODE <url>|<id> [FORCE]
    Take a node out of the cluster; with FORCE even where too few others answer.
REPLICAS <node-id>
    Return the nodes that follow <node-id>.
SHARDS
    Return information about slot range mappings and the nodes associated with them.
SLOTS
    Return information about slots range mappings. Each range is made of:
    start, end, leader and followers IP addresses, ports and ids
TRANSFERLEADER [<url>|<id>] [SHARD <shard>]
    Hand leadership to a node, or to whichever is best.
`), "\n")...)
