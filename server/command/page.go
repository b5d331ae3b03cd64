package command

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// The page of commands, docs/commands.md, is made from the table: what is not on it is
// not in the table, and the other way round.

// WritePage writes the tables of docs/commands.md: the commands of Redis 7.2 that are
// not there, then all that are there, by group.
func WritePage(w io.Writer) {
	fmt.Fprint(w, "## Not there\n\n| command | since | why |\n|---|---|---|\n")
	for _, m := range missing() {
		fmt.Fprintf(w, "| %s | %s | %s |\n", m.name, m.since, m.why)
	}
	var names []Group
	for _, g := range groups {
		if !slices.Contains(names, g.group) {
			names = append(names, g.group)
		}
	}
	for _, g := range names {
		fmt.Fprintf(w, "\n## %s\n\n| command | since | what differs |\n|---|---|---|\n", g)
		for _, s := range all {
			if s.Group == g {
				fmt.Fprintf(w, "| %s | %s | %s |\n", shown(s.Name), s.Since, differences[s.Name])
			}
		}
	}
}

// shown is a command's name as people write it.
func shown(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "|", " ")) }

// absent is a command that Redis 7.2 has.
type absent struct{ name, since, why string }

// missing returns the commands of Redis 7.2 that are not in the table, by name. Of a
// container that is not there, its subcommands are not named one by one.
func missing() (list []absent) {
	for since, names := range redis72 {
		for _, name := range strings.Fields(names) {
			container, _, sub := strings.Cut(name, "|")
			row := Lookup([]byte(container))
			if row != nil && sub {
				row = row.Sub([]byte(name[len(container)+1:]))
			} else if sub {
				continue
			}
			if row != nil {
				continue
			}
			why := absences[name]
			if why == "" {
				why = "not there yet"
			}
			list = append(list, absent{shown(name), since, why})
		}
	}
	slices.SortFunc(list, func(a, b absent) int { return strings.Compare(a.name, b.name) })
	return list
}

// absences say why a command is not there.
var absences = map[string]string{
	"restore-asking": "slots do not move one by one; between nodes of Redis Cluster only",
	"sentinel":       "belongs to redis-sentinel, which can watch dkv",
	"failover":       "in a cluster CLUSTER FAILOVER and CLUSTER TRANSFERLEADER; asynchronous replicas are promoted by REPLICAOF NO ONE",
}

// Differences that several commands have.
const (
	wholeString  = "a string is one record: reads all of it, and writes all of it if it writes"
	countsPassed = "O(N) at worst: reads the members that it counts or passes"
	ownCluster   = "refused: slots belong to fixed shards"
	ownEpochs    = "refused: terms change by elections"
	inBackground = "flushes the engine, or makes a backup where `backup-dir` is set; there is no RDB file"
	savesNothing = "every write is in the log already"
	oneMap       = "small collections come whole: up to 128 elements of 64 bytes, 1 KiB together; cursors stay valid over restarts and on every node"
)

// differences say where a command differs from Redis's, and why.
var differences = map[string]string{
	"append": wholeString, "bitfield": wholeString, "bitfield_ro": wholeString, "getbit": wholeString, "setbit": wholeString, "setrange": wholeString,
	"zcount": countsPassed, "zlexcount": countsPassed, "zrank": countsPassed, "zrevrank": countsPassed,
	"zremrangebyrank": countsPassed, "zrange": "by rank " + countsPassed, "zrevrange": countsPassed,
	"hscan": oneMap, "sscan": oneMap, "zscan": oneMap,
	"cluster|addslots": ownCluster, "cluster|addslotsrange": ownCluster, "cluster|delslots": ownCluster, "cluster|delslotsrange": ownCluster,
	"cluster|flushslots": ownCluster, "cluster|setslot": ownCluster, "cluster|bumpepoch": ownEpochs, "cluster|set-config-epoch": ownEpochs,
	"cluster|reset": "refused; names CLUSTER REMOVENODE",
	"cluster|meet":  "refused; names CLUSTER ADDNODE", "cluster|forget": "refused; names CLUSTER REMOVENODE", "cluster|replicate": "refused; names CLUSTER TRANSFERLEADER: every node has all data",
	"save": inBackground, "bgsave": inBackground, "bgrewriteaof": "flushes the engine so that the log can be cut: " + savesNothing,
	"shutdown":  "flushes the engine; " + savesNothing + ", also with NOSAVE",
	"lastsave":  "the last flush, or backup",
	"pfcount":   "a read, on replicas too: does not keep the count in the key",
	"randomkey": "random over the slots",
	"keys":      "in the order of slots, then keys", "scan": "in the order of slots, then keys; cursors stay valid over restarts, `MATCH prefix*` seeks",
	"linsert": "moves the elements on the shorter side of the place", "lrem": "moves the elements on the shorter side of the place",
	"restore": "payloads are always checked in full", "dump": "the plain form of the type, version 10",
	"object|refcount": "always 1", "object|freq": "use is not recorded on disk", "object|idletime": "counts from what the server knows: use is not recorded on disk",
	"object|encoding": "what Redis would choose, by the same limits",
	"memory|usage":    "of a stream, about what its records take", "memory|malloc-stats": "says that the Go runtime manages memory",
	"memory|purge": "gives free memory back to the system",
	"sort":         "ALPHA compares by bytes; in a cluster of several shards, patterns need a hash tag before their star", "sort_ro": "as SORT",
	"xreadgroup":       "makes the consumer when it is given something, if it has to wait",
	"xinfo|stream":     "`radix-tree-nodes` is one more than in Redis",
	"watch":            "EXEC may, rarely, abort when no watched key has changed: after FLUSHALL, FLUSHDB, SWAPDB, or by a collision of hashes",
	"publish":          "in a cluster the reply counts the subscribers of the node itself",
	"spublish":         "reaches the subscribers of all nodes; the reply counts those of the node itself",
	"ssubscribe":       "every node serves it, and redirects only with `cluster-redirect`",
	"psync":            "follows a Redis server as a client of its; a replica that runs Redis is refused",
	"sync":             "serves `redis-cli --rdb`; a replica that runs Redis is refused",
	"replicaof":        "of a dkv, or of a Redis server; dkv's log goes to dkv only",
	"slaveof":          "as REPLICAOF",
	"waitaof":          "the log is the AOF, and always on",
	"debug":            "only what does no harm; RELOAD and LOADAOF flush the engine, SLEEP holds the connection",
	"config|set":       "what opens files is set at the start, and `port` and `bind` of a node of a cluster; see [configuration](configuration.md)",
	"latency|doctor":   "other words",
	"latency|latest":   "events are `command` and `fast-command`",
	"eval":             "see [scripting](scripting.md)",
	"evalsha":          "knows what SCRIPT LOAD has brought anywhere, and what EVAL has brought to this node",
	"script|debug":     "answers OK; there is no debugger",
	"lolwut":           "another picture",
	"module|list":      "there are no modules",
	"module|load":      "refused: there are no modules",
	"module|loadex":    "refused: there are no modules",
	"module|unload":    "refused: there are no modules",
	"client|pause":     "holds the connections of this node",
	"hrandfield":       "never returns a field whose time has come",
	"cluster|failover": "hands the shards of this node's to another",
}
