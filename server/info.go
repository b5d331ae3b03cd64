package server

import (
	"fmt"
	"strings"
	"time"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
	"dkv/server/command"
)

func init() { bind("info", info) }

// RedisVersion is the version whose commands and replies dkv has.
const RedisVersion = compatibleVersion

// infoSections are the sections of INFO in the order in which they are
// replied. Those that are not in the default must be asked for, with all or by
// name.
var infoSections = []struct {
	name      string
	isDefault bool
	write     func(*infoWriter)
}{
	{"server", true, infoServer},
	{"clients", true, infoClients},
	{"memory", true, infoMemory},
	{"persistence", true, infoPersistence},
	{"stats", true, infoStats},
	{"replication", true, infoReplication},
	{"cpu", true, infoCPU},
	{"modules", true, func(*infoWriter) {}},
	{"commandstats", false, infoCommandStats},
	{"errorstats", true, infoErrorStats},
	{"latencystats", false, infoLatencyStats},
	{"cluster", true, infoCluster},
	{"raft", true, infoRaft},
	{"keyspace", true, infoKeyspace},
	{"dkv", true, infoDKV},
}

// infoWriter collects the lines of an INFO reply.
type infoWriter struct {
	strings.Builder
	srv  *Server
	node cluster.Metrics
	now  time.Time
}

// line appends name:value. Floats are printed with two digits.
func (w *infoWriter) line(name string, value any) {
	if f, ok := value.(float64); ok {
		fmt.Fprintf(w, "%s:%.2f\r\n", name, f)
		return
	}
	fmt.Fprintf(w, "%s:%v\r\n", name, value)
}

// size appends a number of bytes twice, as Redis does: plain, and readable.
func (w *infoWriter) size(name string, bytes uint64) {
	w.line(name, bytes)
	w.line(name+"_human", humanBytes(bytes))
}

func info(c *Conn, x *command.Ctx) error {
	x.Out.Verbatim("txt", c.srv.info(x.Args[1:]))
	return nil
}

// info returns the text of the named sections.
func (s *Server) info(names [][]byte) string {
	wanted := make(map[string]bool)
	defaults, all := len(names) == 0, false
	for _, n := range names {
		switch name := strings.ToLower(string(n)); name {
		case "default":
			defaults = true
		case "all", "everything":
			all = true
		default:
			wanted[name] = true
		}
	}
	w := &infoWriter{srv: s, now: s.clock(), node: s.node.Metrics()}
	for _, section := range infoSections {
		if !all && !(defaults && section.isDefault) && !wanted[section.name] {
			continue
		}
		if w.Len() > 0 {
			w.WriteString("\r\n")
		}
		title := strings.ToUpper(section.name[:1]) + section.name[1:]
		if section.name == "cpu" {
			title = "CPU"
		}
		w.WriteString("# " + title + "\r\n")
		section.write(w)
	}
	return w.String()
}

// database is a database that has keys.
type database struct {
	index         int
	keys, expires int64
	avgTTL        int64 // milliseconds
}

// nonEmptyDatabases sums over the shards, as this node has them.
func (s *Server) nonEmptyDatabases() []database {
	var sum [keyspace.Databases]keyspace.DBCount
	for i := range s.node.Shards() {
		shard := s.node.Shard(raftlog.ShardID(i))
		if shard == nil {
			continue // waiting to be added to a cluster
		}
		for db, n := range shard.Keyspace().Counts() {
			sum[db] = sum[db].Plus(n)
		}
	}
	now := s.clock().UnixMilli()
	var dbs []database
	for i, n := range sum {
		if n.Keys > 0 {
			dbs = append(dbs, database{i, n.Keys, n.Expires, n.AvgTTL(now)})
		}
	}
	return dbs
}
