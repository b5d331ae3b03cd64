package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"dkv/cluster/backup"
)

// backupNode has the server make a backup and prints what it says of it; in JSON,
// what the server replied.
func backupNode(c *conn, dir string, p *printer) int {
	r, err := c.do("DKV.BACKUP", dir)
	if err != nil {
		return p.failure(err)
	}
	if r.isError() || p.format == formatJSON {
		return p.reply(&r)
	}
	f := fieldsOf(&r)
	fmt.Fprintf(p.out, "backup on the server's machine: %s\n", textOf(f["dir"]))
	fmt.Fprintf(p.out, "%s bytes, made at %s\n", textOf(f["bytes"]), textOf(f["created"]))
	if list := f["shards"]; list != nil {
		for i := range list.elems {
			s := fieldsOf(&list.elems[i])
			fmt.Fprintf(p.out, "shard %s: entry %s of term %s, %s keys\n", textOf(s["shard"]), textOf(s["index"]), textOf(s["term"]), textOf(s["keys"]))
		}
	}
	return exitOK
}

// verifyBackup reads all of a backup on this machine. It asks no server.
func verifyBackup(dir string, p *printer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m, err := backup.VerifyFolder(ctx, dir)
	if err != nil {
		p.flush()
		fmt.Fprintf(p.err, "dkvctl: %v\n", err)
		return exitError
	}
	files := 0
	for _, s := range m.Shards {
		files += len(s.Files)
	}
	fmt.Fprintf(p.out, "OK: %d files, %d bytes are as they were made at %s\n", files, m.Bytes(), m.Created.Format(time.RFC3339))
	fmt.Fprintf(p.out, "node %d of cluster %s, engine %s\n", m.NodeID, m.ClusterID, m.Engine)
	for _, s := range m.Shards {
		fmt.Fprintf(p.out, "shard %d: slots %d-%d, entry %d of term %d, %d keys\n", s.ID, s.FirstSlot, s.LastSlot, s.Index, s.Term, s.Keys)
	}
	return exitOK
}
