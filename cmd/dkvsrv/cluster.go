package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"dkv/cluster"
	"dkv/server"
)

// lookupTimeout bounds the look-up of a peer's name.
const lookupTimeout = 2 * time.Second

// isMine says whether addr is an address of this machine that nobody listens on.
func isMine(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, ip := range ips {
		ip = ip.Unmap()
		local := ip.IsLoopback()
		for _, a := range own {
			if n, ok := a.(*net.IPNet); ok {
				local = local || n.IP.String() == ip.String()
			}
		}
		if !local {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			return l.Close() == nil
		}
	}
	return false
}

// clusterOptions adds a cluster's parameters to a node's options.
func clusterOptions(config *server.Config, o *cluster.Options) error {
	mode, err := cluster.ParseReadMode(config.String("read-mode"))
	if err != nil {
		return err
	}
	o.PeerAddr = config.String("peer-addr")
	o.PeerListen = config.String("peer-listen")
	o.Join = config.Bool("join")
	if !o.Join { // one that joins is told of the members
		o.Peers = config.ClusterPeers()
	}
	if config.Given("shards") {
		o.Shards = int(config.Int("shards"))
	}
	if cert := config.String("peer-tls-cert-file"); cert != "" {
		o.TLS = &cluster.TLS{
			CertFile: inDir(config, cert),
			KeyFile:  inDir(config, config.String("peer-tls-key-file")),
			CAFile:   inDir(config, config.String("peer-tls-ca-file")),
		}
	}
	o.ReadMode = mode
	o.ClientAddr = config.ClientAddr(nil)
	o.Timeout = config.Duration("cluster-timeout")
	o.TickInterval = config.Duration("raft-tick")
	o.ElectionTicks = int(config.Int("raft-election-ticks"))
	o.SnapshotBytesPerSecond = config.Int("raft-snapshot-rate")
	return nil
}

// recoverLostMajority makes the data folder a cluster of one, and says what
// that means.
func recoverLostMajority(config *server.Config, o cluster.Options, out io.Writer) error {
	report, err := cluster.RecoverLostMajority(o)
	if err != nil {
		return err
	}
	printReport(out, dataFolder(config), report)
	return nil
}

func printReport(out io.Writer, folder string, r cluster.RecoveryReport) {
	fmt.Fprintf(out, "The data folder %s (node %d) is a cluster of its own now.\n\n", folder, r.NodeID)
	fmt.Fprintf(out, "  cluster id     %s, was %s\n", r.NewClusterID, r.OldClusterID)
	if len(r.Dropped) > 0 {
		fmt.Fprintf(out, "  not members    %s\n", strings.Join(r.Dropped, ", "))
	}
	for _, s := range r.Shards {
		fmt.Fprintf(out, "  shard %-8d ends at entry %d of term %d", s.ID, s.Index, s.Term)
		if s.Unconfirmed > 0 {
			fmt.Fprintf(out, "; the last %d were not known here to be acknowledged, and are kept", s.Unconfirmed)
		}
		if !s.Voter {
			fmt.Fprint(out, "; this node was still catching up, so that any amount may be lost")
		}
		fmt.Fprintln(out)
	}
	fmt.Fprint(out, `
What may be lost: every write that the lost nodes had acknowledged and this one
had not received. Where a shard ends, above, is what it had received; a survivor
whose shards end later has more. What may have come back: writes at the very end
that were answered UNCERTAIN, or not at all.

Next: start this node with the same -db-folder and a -peer-addr, and without
-cluster-peers; start others with empty folders and -join; add them with
CLUSTER ADDNODE. Do not start the lost nodes with their old folders: they are
members of the old cluster, and this one refuses them.
`)
}
