package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"dkv/cluster"
	"dkv/server"
)

// restore makes the data folder of a backup, and says what it holds.
func restore(config *server.Config, o cluster.Options, out io.Writer) error {
	if !config.Given("db-engine") {
		o.Engine = "" // the backup's
	}
	until, err := cluster.ParseUntil(config.String("restore-until"))
	if err != nil {
		return fmt.Errorf("restore-until %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	from := inDir(config, config.String("restore"))
	report, err := cluster.Restore(ctx, o, cluster.RestoreOptions{Backup: from, Until: until})
	if err != nil {
		return err
	}
	printRestored(out, from, dataFolder(config), report)
	return nil
}

func printRestored(out io.Writer, from, folder string, r cluster.RestoreReport) {
	m := r.Manifest
	fmt.Fprintf(out, "%s is restored from %s, a backup of node %d made at %s.\n\n", folder, from, m.NodeID, m.Created.Format(time.RFC3339))
	fmt.Fprintf(out, "  cluster id     %s, was %s\n", r.NewClusterID, m.ClusterID)
	fmt.Fprintf(out, "  engine         %s\n", m.Engine)
	for _, s := range r.Shards {
		fmt.Fprintf(out, "  shard %-8d ends at entry %d of term %d, %d keys", s.ID, s.Index, s.Term, s.Keys)
		if s.Time != 0 {
			fmt.Fprintf(out, ", last written at %s", time.UnixMilli(s.Time).UTC().Format("2006-01-02T15:04:05.000Z"))
		}
		if s.Replayed > 0 {
			fmt.Fprintf(out, "; %d entries are from the archive", s.Replayed)
		}
		if s.Ended {
			fmt.Fprint(out, ", which has no more")
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, `
Next: dkvsrv -db-folder %s%s, a node by itself. For a cluster start it with
-peer-addr, start others with empty folders and -join, and add them with CLUSTER
ADDNODE. It is no member of the cluster that the backup is of, and replicas of that
one copy it in full.
`, folder, engineFlag(m.Engine))
}

func engineFlag(engine string) string {
	if engine == cluster.EnginePebble {
		return ""
	}
	return " -db-engine " + engine
}
