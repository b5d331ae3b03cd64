package server

import (
	"fmt"
	"strings"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("cluster|addnode", clusterAddNode)
	bind("cluster|removenode", clusterRemoveNode)
	bind("cluster|transferleader", clusterTransferLeader)
	bind("cluster|failover", clusterFailover)

	const slots = "the slots are spread over the shards when a cluster is made (-shards), and every node has all of them"
	for name, instead := range map[string]string{
		"addslots": slots, "addslotsrange": slots, "delslots": slots, "delslotsrange": slots, "flushslots": slots, "setslot": slots,
		"bumpepoch": "terms change by elections", "set-config-epoch": "terms change by elections",
		"forget":    "use CLUSTER REMOVENODE",
		"meet":      "start the node with -join and use CLUSTER ADDNODE with its peer address",
		"replicate": "every node has all data; use CLUSTER TRANSFERLEADER to choose who leads",
		"reset":     "use CLUSTER REMOVENODE, and start the node with an empty data folder",
	} {
		bind("cluster|"+name, ifCluster(func(_ *Conn, x *command.Ctx) error {
			return resp.Error("ERR " + "dkv has no CLUSTER " + strings.ToUpper(lower(x.Args[1])) + ": " + instead)
		}))
	}
}

// clusterAddNode is CLUSTER ADDNODE url [ASYNC].
func clusterAddNode(c *Conn, x *command.Ctx) error {
	async, err := optionalWord(x.Args[3:], "async")
	if err != nil {
		return err
	}
	return c.changeCluster(x, func() error {
		ctx, cancel := c.context()
		defer cancel()
		return c.srv.node.AddNode(ctx, string(x.Args[2]), async)
	})
}

// clusterRemoveNode is CLUSTER REMOVENODE url-or-id [FORCE].
func clusterRemoveNode(c *Conn, x *command.Ctx) error {
	force, err := optionalWord(x.Args[3:], "force")
	if err != nil {
		return err
	}
	return c.changeCluster(x, func() error {
		ctx, cancel := c.context()
		defer cancel()
		return c.srv.node.RemoveNode(ctx, c.srv.topology().memberNamed(x.Args[2]), force)
	})
}

// clusterTransferLeader is CLUSTER TRANSFERLEADER [url-or-id] [SHARD n].
func clusterTransferLeader(c *Conn, x *command.Ctx) error {
	args, to, id := x.Args[2:], "", cluster.AllShards
	if len(args) == 1 || len(args) == 3 {
		to, args = c.srv.topology().memberNamed(args[0]), args[1:]
	}
	if len(args) == 2 {
		if !equalFold(args[0], "shard") {
			return resp.ErrSyntax
		}
		n, err := parseInt(args[1])
		if err != nil {
			return err
		}
		if n < 0 || n >= int64(c.srv.node.Shards()) {
			return resp.Error(fmt.Sprintf("ERR There is no shard %d, they are numbered from 0 to %d", n, c.srv.node.Shards()-1))
		}
		id, args = raftlog.ShardID(n), args[2:]
	}
	if len(args) > 0 {
		return resp.ErrSyntax
	}
	return c.changeCluster(x, func() error {
		ctx, cancel := c.context()
		defer cancel()
		return c.srv.node.TransferLeader(ctx, id, to)
	})
}

// clusterFailover is CLUSTER FAILOVER [FORCE|TAKEOVER]. The words make no
// difference: a leader needs a majority in any case.
func clusterFailover(c *Conn, x *command.Ctx) error {
	if len(x.Args) > 3 || len(x.Args) == 3 && !equalFold(x.Args[2], "force") && !equalFold(x.Args[2], "takeover") {
		return resp.ErrSyntax
	}
	if !c.srv.clusterEnabled() {
		return errClusterDisabled
	}
	return c.changeCluster(x, func() error {
		ctx, cancel := c.context()
		defer cancel()
		return c.srv.node.Failover(ctx)
	})
}

// changeCluster runs what waits for other nodes, and replies OK.
func (c *Conn) changeCluster(x *command.Ctx, change func() error) error {
	if c.txn.running {
		return resp.ErrNotAllowedInMulti
	}
	if !c.muting() {
		c.flush() // the replies to what came before are not held back
	}
	if err := change(); err != nil {
		return resp.Error(err.Error())
	}
	c.ws.spent = 0 // waiting is not slowness
	x.Out.OK()
	return nil
}

// memberNamed turns the ways in which clients know a node, its id in CLUSTER
// NODES and its address for clients, into its number. Anything else is left to the
// node: the number itself, the peer address.
func (t *topology) memberNamed(arg []byte) string {
	name := string(arg)
	for i := range t.members {
		if m := &t.members[i]; m.PeerAddr == name {
			return name
		}
	}
	for i := range t.members {
		if m := &t.members[i]; m.name == name || m.ClientAddr != "" && m.ClientAddr == name {
			return fmt.Sprint(m.ID)
		}
	}
	return name
}

// optionalWord reports whether the one word is there, which is all there may be.
func optionalWord(args [][]byte, word string) (bool, error) {
	switch {
	case len(args) == 0:
		return false, nil
	case len(args) == 1 && equalFold(args[0], word):
		return true, nil
	}
	return false, resp.ErrSyntax
}
