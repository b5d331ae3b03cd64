package differential

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// serverForms are commands about the server, its clients, scripts and messages, in the grammar
// that generator.expand explains. <command> is a whole command about data, see dataCommand.
// Each keeps a connection in step: it has one reply.
var serverForms = strings.Split(strings.TrimSpace(`
COMMAND (GETKEYS|GETKEYSANDFLAGS) <command>
COMMAND (GETKEYS|GETKEYSANDFLAGS) <command>
COMMAND (GETKEYS|GETKEYSANDFLAGS) <command>
COMMAND (GETKEYS|GETKEYSANDFLAGS) (EVAL|EVALSHA|FCALL|FCALL_RO|EVAL_RO) x (0|1|2|3|-1|<odd>) {<key>}
COMMAND (GETKEYS|GETKEYSANDFLAGS) (ZUNION|ZDIFF|ZINTER|SINTERCARD|LMPOP|ZMPOP|ZINTERCARD) (0|1|2|3|-1|<odd>) {<key>} LEFT
COMMAND (GETKEYS|GETKEYSANDFLAGS) MIGRATE h 1 (<key>|<empty>) 0 1 [COPY] [KEYS {<key>}]
COMMAND (GETKEYS|GETKEYSANDFLAGS) (PING|<odd>) <odd>
COMMAND LIST FILTERBY (ACLCAT|PATTERN|MODULE|<odd>) (read|nope|ge*|<odd>)
COMMAND LIST [FILTERBY] <odd>
COMMAND INFO {(get|GET|nope|config|<odd>)}
COMMAND (COUNT|HELP) [<odd>]
CONFIG GET {(maxmemory-policy|hash-max-ziplist-entries|hash-max-listpack-*|databases|nope|MAXCLIENTS|<odd>)}
CONFIG SET (hash-max-listpack-entries|hash-max-ziplist-value|set-max-intset-entries|zset-max-listpack-value|list-max-listpack-size|slowlog-max-len) (abc|-1|<empty>|99999999999999999999|1.5)
CONFIG SET (maxmemory|client-query-buffer-limit|proto-max-bulk-len) (-1|1x|abc|<empty>|1.5mb)
CONFIG SET (maxmemory-policy|appendonly|appendfsync|loglevel|lazyfree-lazy-expire) (maybe|true|<empty>)
CONFIG SET notify-keyspace-events (KEA|Kx|<empty>|abcq)
CONFIG SET lfu-log-factor 10 lfu-log-factor 10
CONFIG SET slowlog-max-len 128 (nope|<odd>) 1
CONFIG SET slowlog-max-len 128 hash-max-listpack-value (abc|64)
CONFIG SET slowlog-max-len 128 slowlog-log-slower-than
CONFIG SET (databases|port|cluster-enabled|rdbchecksum) (x|<empty>)
CONFIG SET save <save>
CONFIG SET client-output-buffer-limit <outputlimit>
CONFIG SET oom-score-adj (maybe|no)
CONFIG (GET|SET|RESETSTAT|REWRITE|HELP) <odd> <odd> <odd>
CONFIG (RESETSTAT|HELP)
OBJECT HELP
OBJECT (ENCODING|REFCOUNT|FREQ|IDLETIME|HELP|<odd>) [<key>] [<odd>]
(MEMORY|SLOWLOG|LATENCY|CLIENT|ACL|XINFO|XGROUP|SCRIPT|FUNCTION|PUBSUB|COMMAND|CLUSTER) HELP
(MEMORY|SLOWLOG|LATENCY|CLIENT|ACL|XINFO|XGROUP|SCRIPT|FUNCTION|PUBSUB|COMMAND) (HELP|<odd>) <odd>
(MEMORY|SLOWLOG|LATENCY|CLIENT|ACL|XINFO|XGROUP|SCRIPT|FUNCTION|PUBSUB|CONFIG|OBJECT)
MEMORY USAGE <key> (SAMPLES|<odd>) (0|-1|abc|5)
MEMORY (PURGE|DOCTOR|STATS)
LATENCY (HISTORY|GRAPH) (command|fast-command|nope|<odd>)
LATENCY RESET {(command|nope|<odd>)}
LATENCY HISTOGRAM {(get|nope|config|<odd>)}
LATENCY (LATEST|DOCTOR|HISTOGRAM|HISTORY)
SLOWLOG GET (-1|0|-2|abc|10|1.5) [<odd>]
CLIENT GETREDIR
CLIENT TRACKINGINFO
CLIENT CACHING (YES|NO|abc)
CLIENT TRACKING (OFF|abc)
CLIENT TRACKING ON REDIRECT (99999999|abc|-1)
CLIENT TRACKING ON (PREFIX a|OPTIN OPTOUT|BCAST OPTIN|BCAST OPTOUT|NOPE|PREFIX|REDIRECT|BCAST PREFIX a PREFIX ab)
CLIENT UNBLOCK (99999999|abc|-1) [TIMEOUT|ERROR|abc]
CLIENT UNBLOCK
CLIENT KILL (TYPE (master|replica|pubsub|slave|abc)|USER nobody|SKIPME abc|ID (abc|-1|0)|ADDR 1.2.3.4:5|LADDR 1:2|NOPE x) [SKIPME (yes|no|abc)] [ID 0]
CLIENT KILL
CLIENT LIST (TYPE (normal|master|replica|pubsub|abc)|ID|ID abc|ID 0|NOPE x)
CLIENT (NO-EVICT|REPLY|PAUSE|SETNAME|GETNAME) (abc|ON) (x|ON|WRITE)
CLIENT (GETNAME|ID|INFO) <odd>
CLIENT SETNAME (<empty>|name|<odd>)
CLIENT GETNAME
SCRIPT LOAD <script>
SCRIPT EXISTS {(e0e1f9fabfc9d4800c877a703b823ac0578ff8db|x|<odd>)}
SCRIPT FLUSH [SYNC|ASYNC|abc]
SCRIPT KILL [NO|abc]
EVALSHA (e0e1f9fabfc9d4800c877a703b823ac0578ff8db|E0E1F9FABFC9D4800C877A703B823AC0578FF8DB|x|<odd>) (0|1|-1|abc) [<key>]
(EVAL|EVAL_RO) <script> (0|1|2|-1|abc) [<key>] [<odd>]
(EVAL|EVAL_RO) <script> 1 <key> <value>
(EVAL|EVAL_RO) <script> 1 <key> <value>
FUNCTION LOAD [REPLACE|NOPE] <library>
FUNCTION LOAD [REPLACE] <library>
FUNCTION DELETE (one|two|nope|<odd>)
FUNCTION FLUSH [SYNC|ASYNC|abc]
FUNCTION LIST [LIBRARYNAME (one|t*|nope|<odd>)] [WITHCODE]
FUNCTION LIST (WITHCODE WITHCODE|LIBRARYNAME|LIBRARYNAME a LIBRARYNAME b|NOPE|<odd>)
FUNCTION (STATS|KILL)
FUNCTION RESTORE (<empty>|x|<odd>) [FLUSH|APPEND|REPLACE|NOPE]
(FCALL|FCALL_RO) (f1|f2|f3|nope|<odd>) (0|1|2|-1|abc) [<key>] [<value>]
(FCALL|FCALL_RO) (f1|f2|f3) 1 <key> <value>
(PUBLISH|SPUBLISH) (nobody|<odd>) <value>
PUBSUB (CHANNELS|SHARDCHANNELS) [nope*|<odd>]
PUBSUB (NUMSUB|SHARDNUMSUB) [{(nobody|<odd>)}]
PUBSUB NUMPAT [<odd>]
(SUBSCRIBE|PSUBSCRIBE|SSUBSCRIBE) (chan|chan2)
(UNSUBSCRIBE|PUNSUBSCRIBE|SUNSUBSCRIBE) (chan|chan2)
(UNSUBSCRIBE|PUNSUBSCRIBE|SUNSUBSCRIBE) (chan|chan2)
(SUBSCRIBE|PUBLISH|SPUBLISH|PUBSUB|SSUBSCRIBE|PSUBSCRIBE)
PUBSUB NUMSUB chan chan2
PING [<value>]
RESET
RESET
RESET
ACL (WHOAMI|USERS|CAT)
ACL CAT (nope|<odd>)
ACL (GETUSER|DELUSER) (nobody|<odd>)
ACL GENPASS (0|-1|4097|abc)
ACL DRYRUN (default|nobody) <command>
ACL DRYRUN (default|nobody|<odd>) (nope|<odd>) [<odd>]
ACL SETUSER default (+nope|-@nope|%X~a|<odd>)
ACL LOG (-1|abc|RESET|0)
ACL (SAVE|LOAD)
(READONLY|READWRITE|ASKING) [<odd>]
CLUSTER (INFO|NODES|SLOTS|MYID|SHARDS|KEYSLOT|NOPE) [<key>]
(REPLICAOF|SLAVEOF) NO ONE
(REPLICAOF|SLAVEOF) (NO|host|<odd>) (abc|-1|99999|TWO)
ROLE [<odd>]
(DUMP|DUMP a|RESTORE) [<key>]
RESTORE <key> (0|0|0|100000|-1|abc) <payload> [REPLACE] [ABSTTL] [IDLETIME (1|-1|abc)] [FREQ (1|256|abc)]
RESTORE <key> 0 <payload> REPLACE
SHUTDOWN (ABORT|ABORT NOW|NOSAVE SAVE|abc|ABORT SAVE)
WAIT (0|-1|abc) (0|1|-1|abc)
DEBUG (NOPE|OBJECT|SLEEP|OBJECT nosuch)
(SAVE|BGSAVE|BGREWRITEAOF|LASTSAVE|TIME|DBSIZE) <odd> <odd>
BGSAVE abc
MONITOR <odd>
MODULE (LIST|HELP|LOAD|UNLOAD|LOADEX|<odd>) [<odd>] [<odd>]
(PFSELFTEST|LOLWUT) <odd> <odd>
SELECT <db>
MULTI
EXEC
DISCARD
WATCH <key>
GET <key>
SET <key> <value>
LPUSH <key> <field>
`), "\n")

// TestRandomServer does what TestRandom does with serverForms. They are apart since most
// of them say something about the whole server: on a node of a cluster the answers are others.
func TestRandomServer(t *testing.T) {
	sequences := number(t, "DKV_DIFF_SERVER", 60)
	if testing.Short() {
		sequences = min(sequences, 10)
	}
	seed := uint64(number(t, "DKV_DIFF_SEED", randomSeed()))
	if os.Getenv("DKV_DIFF_SEED") != "" {
		sequences = 1
	}
	p := startPair(t)
	p.forms = serverForms
	p.lead = [][]string{{"FUNCTION", "FLUSH"}, {"SCRIPT", "FLUSH"}, {"CONFIG", "RESETSTAT"}}
	p.playRandom(t, seed, sequences, 200)
}

// randomSeed is the seed when none is given.
func randomSeed() int { return int(rand.Uint32()) }

// dataCommand returns a whole command of forms, as an argument of another.
func (g *generator) dataCommand() []string {
	for {
		if args := g.expand(forms[g.rng.IntN(len(forms))]); args[0][0] != '!' {
			return args
		}
	}
}

var shortScripts = []string{"return 1", "return KEYS", "return ARGV", "return redis.call('get',KEYS[1])", "return redis.call('set',KEYS[1],ARGV[1])",
	"return redis.pcall('lpush',KEYS[1],ARGV[1])", "return {1,2.5,{'a',true,false}}", "return {err='MINE x'}", "return {ok='fine'}", "bad(",
	"return redis.call('nope')", "return redis.call()", "redis.setresp(3) return redis.call('hgetall',KEYS[1])", "return {double=1.5}",
	"return {map={a=1}}", "return {set={a=true}}", "error('x')", "return nosuch", "return redis.call('type',KEYS[1])", "return redis.sha1hex(ARGV[1] or '')",
	"return redis.call('zadd',KEYS[1],1,ARGV[1] or 'm')", "return cjson.encode({1,'a',{b=2}})", "return tostring(redis.call('ttl',KEYS[1]))",
	"#!lua flags=no-writes\nreturn redis.call('set',KEYS[1],'x')", "#!lua\nreturn 5", "#!nope\nreturn 1", "#!lua flags=nope\nreturn 1", "#!lua name=x\nreturn 1"}

var libraries = []string{
	"#!lua name=one\nredis.register_function('f1', function(k,a) return {#k,#a} end)",
	"#!lua name=one\nredis.register_function('f1', function(k,a) return redis.call('set',k[1],a[1]) end)",
	"#!lua name=two\nredis.register_function{function_name='f2', callback=function(k,a) return redis.call('get',k[1]) end, flags={'no-writes'}}",
	"#!lua name=two\nredis.register_function{function_name='f2', callback=function(k,a) return redis.call('del',k[1]) end, flags={'no-writes'}, description='d'}",
	"#!lua name=three\nredis.register_function('f1', function() return 1 end) redis.register_function('f3', function() return redis.error_reply('MINE y') end)",
	"#!lua name=four\nreturn 1", "#!lua name=bad-name\nredis.register_function('f9', function() end)", "#!lua\nreturn 1", "return 1", "#!nope name=x\nreturn 1",
	"#!lua name=five nope=1\nreturn 1", "#!lua name=six\nbad(", "#!lua name=six\nredis.call('ping')", "#!lua name=six\nredis.register_function('f-9', function() end)",
	"#!lua name=six\nredis.register_function('f9')", "#!lua name=six\nredis.register_function{function_name='f9', callback=function() end, flags={'nope'}}",
	"#!lua name=six\nredis.register_function{function_name='f9', nope=1}", ""}

// payloads are what DUMP of a redis-server 7.0 gives, and what nearly is that.
var payloads = []string{
	"\x00\x01\x76\x0a\x00\x91\x08\xce\xb2\x19\x38\x8a\xce", // a string
	"\x00\xc1\x39\x30\x0a\x00\x9d\x94\xea\x27\x93\xfc\x08\xb9",
	"\x12\x01\x02\x0c\x0c\x00\x00\x00\x02\x00\x81\x61\x02\x01\x01\xff\x0a\x00\x94\x96\x2b\x23\xac\x17\xaa\x85",                          // a list
	"\x10\x0d\x0d\x00\x00\x00\x02\x00\x81\x66\x02\x81\x76\x02\xff\x0a\x00\x20\xf1\x3d\x44\x23\x54\x08\x9d",                              // a hash
	"\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x02\x00\x0a\x00\x6f\x79\x38\xb1\x34\xeb\x20\x2e",                                  // a set of numbers
	"\x02\x01\x01\x61\x0a\x00\x62\x96\xe9\x7e\x44\xd2\x1a\x6d",                                                                          // a set
	"\x11\x11\x11\x00\x00\x00\x04\x00\x81\x66\x02\x01\x01\x81\x67\x02\x02\x01\xff\x0a\x00\x58\xa7\x19\x8d\x5e\x23\x95\xe4",              // a sorted set
	"\x00\x01\x77\x0a\x00\x91\x08\xce\xb2\x19\x38\x8a\xce", "\x00\x01\x76\x0b\x00\x91\x08\xce\xb2\x19\x38\x8a\xce", "\x00\x01", "x", "", // damaged
}
