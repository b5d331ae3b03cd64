package server

import (
	"errors"
	"path/filepath"
	"time"

	"dkv/cluster"
	"dkv/cluster/backup"
	"dkv/resp"
	"dkv/server/command"
)

func init() { bind("dkv.backup", backupCmd) }

// backupName is the form of the names of what SAVE and BGSAVE make, in UTC: in the
// order of time when sorted.
const backupName = "dkv-20060102T150405.000Z"

// backupDir is where backups are made, "" where SAVE is to flush only.
func (s *Server) backupDir() string {
	dir := s.config.String("backup-dir")
	if dir == "" || filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(s.config.String("dir"), dir)
}

// save is SAVE: a backup where one is asked for, else a flush.
func (s *Server) save() error {
	dir := s.backupDir()
	if dir == "" {
		return s.saveNow()
	}
	_, err := s.backup(filepath.Join(dir, s.clock().UTC().Format(backupName)))
	return err
}

// backup makes a backup in dir.
func (s *Server) backup(dir string) (m backup.Manifest, err error) {
	err = s.recordSave(func() (err error) {
		m, err = s.node.Backup(s.work, dir)
		return err
	})
	return m, err
}

// backupCmd is DKV.BACKUP dir.
func backupCmd(c *Conn, x *command.Ctx) error {
	dir := string(x.Args[1])
	if dir == "" || len(dir) > maxPath {
		return resp.Error("ERR DKV.BACKUP needs the path of a folder to be made")
	}
	if !filepath.IsAbs(dir) {
		base := c.srv.backupDir()
		if base == "" {
			base = c.srv.config.String("dir")
		}
		dir = filepath.Join(base, dir)
	}
	m, err := c.srv.backup(filepath.Clean(dir))
	if code := resp.Error(""); errors.As(err, &code) {
		return code
	}
	if err != nil {
		c.srv.log.Error("a backup failed", "dir", dir, "err", err)
		return resp.Error("ERR backup to " + dir + " failed: " + cluster.ExplainBackup(err))
	}
	out := x.Out
	out.Map(5)
	out.BulkString("dir")
	out.BulkString(dir)
	out.BulkString("created")
	out.BulkString(m.Created.Format(time.RFC3339Nano))
	out.BulkString("cluster-id")
	out.BulkString(m.ClusterID)
	out.BulkString("bytes")
	out.Int(m.Bytes())
	out.BulkString("shards")
	out.Array(len(m.Shards))
	for _, s := range m.Shards {
		out.Map(4)
		out.BulkString("shard")
		out.Int(int64(s.ID))
		out.BulkString("index")
		out.Uint(s.Index)
		out.BulkString("term")
		out.Uint(s.Term)
		out.BulkString("keys")
		out.Int(s.Keys)
	}
	return nil
}

// maxPath bounds a path that a client gives.
const maxPath = 4096
