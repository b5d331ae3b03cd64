package differential

import (
	"strconv"
	"strings"
)

// forms are the commands that sequences are made of, in the grammar that
// generator.expand explains. Each line is as likely as any other.
var forms = strings.Split(strings.TrimSpace(`
GET <key>
GET <key>
SET <key> <value>
SET <key> <value>
SET <key> <number>
SET <key> <value> [NX|XX] [GET] [EX <sec>|PX <ms>|EXAT <at>|PXAT <atms>|KEEPTTL]
SET <key> <value> [EX <sec>|PX <ms>|EXAT <at>|PXAT <atms>|KEEPTTL] [GET] [NX|XX]
SET <key> <value> (EX|PX|EXAT|PXAT) <odd>
SETNX <key> <value>
SETEX <key> <sec> <value>
PSETEX <key> <ms> <value>
GETSET <key> <value>
GETDEL <key>
GETEX <key> [EX <sec>|PX <ms>|EXAT <at>|PXAT <atms>|PERSIST]
MGET {<key>}
MSET {<key> <value>}
MSETNX {<key> <value>}
INCR <key>
DECR <key>
INCRBY <key> <number>
DECRBY <key> <number>
INCRBYFLOAT <key> <float>
INCRBYFLOAT <key> <float>
APPEND <key> <value>
STRLEN <key>
GETRANGE <key> <index> <index>
SUBSTR <key> <index> <index>
SETRANGE <key> <offset> <value>
LCS <key> <key> [LEN|IDX] [MINMATCHLEN <index>] [WITHMATCHLEN]
LCS <key> <key> [IDX [WITHMATCHLEN] [MINMATCHLEN <index>]|LEN]
DEL {<key>}
UNLINK {<key>}
EXISTS {<key>}
TYPE <key>
TOUCH {<key>}
KEYS <pattern>
RANDOMKEY
RENAME <key> <key>
RENAMENX <key> <key>
COPY <key> <key> [DB <db>] [REPLACE]
MOVE <key> <db>
SWAPDB <db> <db>
EXPIRE <key> <sec> [NX|XX|GT|LT]
PEXPIRE <key> <ms> [NX|XX|GT|LT]
EXPIREAT <key> <at> [NX|XX|GT|LT]
PEXPIREAT <key> <atms> [NX|XX|GT|LT]
EXPIRE <key> <sec> [NX|XX|GT|LT] [NX|XX|GT|LT]
TTL <key>
PTTL <key>
EXPIRETIME <key>
PEXPIRETIME <key>
PERSIST <key>
OBJECT ENCODING <key>
OBJECT (REFCOUNT|IDLETIME|FREQ) <key>
OBJECT <odd> <key>
DBSIZE
!dbsize
FLUSHDB [ASYNC|SYNC]
FLUSHALL [ASYNC|SYNC]
SCAN <number> [MATCH <pattern>] [COUNT <count>] [TYPE (string|hash|list|<odd>)]
(LPUSH|RPUSH|LPUSHX|RPUSHX) <key> {<field>}
(LPUSH|RPUSH) <key> {<field>}
(LPOP|RPOP) <key> [<count>]
LRANGE <key> <index> <index>
LLEN <key>
LINDEX <key> <index>
LSET <key> <index> <field>
LTRIM <key> <index> <index>
LREM <key> <number> <field>
LINSERT <key> (BEFORE|AFTER) <field> <field>
LPOS <key> <field> [RANK <number>] [COUNT <count>] [MAXLEN <count>]
LMOVE <key> <key> (LEFT|RIGHT) (LEFT|RIGHT)
RPOPLPUSH <key> <key>
(BLPOP|BRPOP|BZPOPMIN|BZPOPMAX) <key> 0.001
(BLPOP|BRPOP) <key> <key> 0.001
BLMOVE <key> <key> (LEFT|RIGHT) (LEFT|RIGHT) 0.001
BRPOPLPUSH <key> <key> 0.001
BLMPOP 0.001 2 <key> <key> (LEFT|RIGHT) [COUNT 2]
BZMPOP 0.001 2 <key> <key> (MIN|MAX) [COUNT 2]
LMPOP (1|2) <key> <key> (LEFT|RIGHT) [COUNT <count>]
HSET <key> {<field> <value>}
HSET <key> {<field> <value>}
HMSET <key> {<field> <value>}
HSETNX <key> <field> <value>
HGET <key> <field>
HMGET <key> {<field>}
HDEL <key> {<field>}
(HLEN|HGETALL|HKEYS|HVALS) <key>
(HEXISTS|HSTRLEN) <key> <field>
HINCRBY <key> <field> <number>
HINCRBYFLOAT <key> <field> <float>
HRANDFIELD <key> [(<count>|-2|0) [WITHVALUES]]
HSCAN <key> 0 COUNT 10000
SADD <key> {<field>}
SADD <key> {<field>}
SREM <key> {<field>}
(SCARD|SMEMBERS) <key>
SISMEMBER <key> <field>
SMISMEMBER <key> {<field>}
SMOVE <key> <key> <field>
SRANDMEMBER <key> [(<count>|-2|0)]
SPOP <key> (0|10000|-1|abc)
(SINTER|SUNION|SDIFF) {<key>}
(SINTERSTORE|SUNIONSTORE|SDIFFSTORE) <key> {<key>}
SINTERCARD (1 <key>|2 <key> <key>|<odd> <key>) [LIMIT <index>]
SSCAN <key> 0 COUNT 10000
ZADD <key> [NX|XX] [GT|LT] [CH] {<score> <field>}
ZADD <key> {<score> <field>}
ZADD <key> [NX|XX] INCR <score> <field>
ZINCRBY <key> <score> <field>
ZREM <key> {<field>}
ZSCORE <key> <field>
ZMSCORE <key> {<field>}
ZCARD <key>
ZCOUNT <key> <score> <score>
(ZRANK|ZREVRANK) <key> <field>
(ZRANGE|ZREVRANGE) <key> <index> <index> [WITHSCORES]
ZRANGE <key> <score> <score> BYSCORE [REV] [LIMIT <index> <index>] [WITHSCORES]
(ZRANGEBYSCORE|ZREVRANGEBYSCORE) <key> <score> <score> [WITHSCORES] [LIMIT <index> <index>]
ZRANGESTORE <key> <key> <index> <index> [REV]
ZREMRANGEBYRANK <key> <index> <index>
ZREMRANGEBYSCORE <key> <score> <score>
(ZPOPMIN|ZPOPMAX) <key> [<count>]
ZMPOP 2 <key> <key> (MIN|MAX) [COUNT <count>]
(ZUNION|ZINTER) 2 <key> <key> [WEIGHTS <score> <score>] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]
(ZUNIONSTORE|ZINTERSTORE) <key> 2 <key> <key> [WEIGHTS (1|-1|0|inf) (1|-1)] [AGGREGATE (SUM|MIN|MAX)]
ZDIFF 2 <key> <key> [WITHSCORES]
ZDIFFSTORE <key> 2 <key> <key>
ZINTERCARD 2 <key> <key> [LIMIT <index>]
ZRANDMEMBER <key> [(<count>|-2|0) [WITHSCORES]]
ZADD <key> {0 <field>}
(ZRANGEBYLEX|ZREVRANGEBYLEX) <key> <lex> <lex> [LIMIT <index> <index>]
(ZLEXCOUNT|ZREMRANGEBYLEX) <key> <lex> <lex>
ZRANGE <key> <lex> <lex> BYLEX [REV] [LIMIT <index> <index>] [WITHSCORES]
ZRANGESTORE <key> <key> (<lex> <lex> BYLEX|<score> <score> BYSCORE) [REV] [LIMIT <index> <index>]
(LMPOP|BLMPOP 0.001) (0|1|2|3|-1|<odd>) {<key>} (LEFT|RIGHT|<odd>) [COUNT (0|1|-1|<count>|<odd>)]
(ZMPOP|BZMPOP 0.001) (0|1|2|3|-1|<odd>) {<key>} (MIN|MAX|<odd>) [COUNT (0|1|-1|<count>|<odd>)]
(BLMPOP|BZMPOP) (-1|abc|nan|1e30) 1 <key> (MIN|LEFT)
(SINTERCARD|ZINTERCARD) (0|1|2|3|-1|<odd>) {<key>} [LIMIT (0|1|-1|<odd>)]
(ZUNION|ZINTER|ZDIFF) (0|1|2|3|-1|<odd>) {<key>} [WITHSCORES]
(ZUNIONSTORE|ZINTERSTORE|ZDIFFSTORE) <key> (0|1|2|3|-1|<odd>) {<key>}
ZSCAN <key> 0 COUNT 10000
XADD <skey> <id> {<field> <value>}
XADD <skey> <id> {<field> <value>}
XADD <skey> <id> {<field> <value>}
XADD <skey> [NOMKSTREAM] [MAXLEN (=|~) <count>|MINID (=|~) <id>] <id> <field> <value>
XADD <skey> [NOMKSTREAM] [MAXLEN <count>|MINID <id>] [LIMIT <count>] <id> <field> <value>
(XLEN|TYPE) <skey>
XDEL <skey> {<id>}
XTRIM <skey> (MAXLEN|MINID) [=|~] (3|10|<id>) [LIMIT <count>]
(XRANGE|XREVRANGE) <skey> (-|+|<id>) (-|+|<id>) [COUNT <count>]
XREAD [COUNT <count>] [BLOCK 1] STREAMS <skey> (<id>|0|$)
XREAD [COUNT <count>] STREAMS <skey> <skey> <id> (<id>|0|$)
XGROUP CREATE <skey> (g|h) (<id>|0|$) [MKSTREAM] [ENTRIESREAD <count>]
XGROUP CREATE <skey> g 0 MKSTREAM
XGROUP SETID <skey> (g|h) (<id>|0|$) [ENTRIESREAD <count>]
XGROUP (DESTROY|CREATE|<odd>) <skey> (g|h)
XGROUP (CREATECONSUMER|DELCONSUMER) <skey> (g|h) (c|d)
XREADGROUP GROUP (g|h) (c|d) [COUNT <count>] [BLOCK 1] [NOACK] STREAMS <skey> (>|>|>|0|<id>)
XREADGROUP GROUP g c COUNT 3 STREAMS <skey> <skey> > >
XACK <skey> (g|h) {<id>}
XCLAIM <skey> (g|h) (c|d) (0|1000000000) <id> <id> [TIME 1000] [RETRYCOUNT 5] [FORCE] [JUSTID]
XAUTOCLAIM <skey> (g|h) (c|d) (0|1000000000) (<id>|-) [COUNT <count>] [JUSTID]
XPENDING <skey> (g|h)
XPENDING <skey> (g|h) [IDLE 1000000000] - + <count> [c|d]
XINFO (STREAM|GROUPS) <skey>
XINFO STREAM <skey> FULL [COUNT <count>]
XINFO CONSUMERS <skey> (g|h)
XSETID <skey> 60-0 [ENTRIESADDED <count>]
(RENAME|COPY) <skey> <skey>
DEL <skey>
SETBIT <key> <bit> (0|1|1|<odd>)
SETBIT <key> <bit> 1
GETBIT <key> <bit>
BITCOUNT <key> [<index> <index> [BYTE|BIT]]
BITPOS <key> (0|1) [<index> [<index> [BYTE|BIT]]]
BITOP (AND|OR|XOR|NOT) <key> {<key>}
BITOP NOT <key> <key>
BITFIELD <key> {(GET <bitfield> <bit>|SET <bitfield> <bit> <number>|OVERFLOW (WRAP|SAT|FAIL) INCRBY <bitfield> <bit> <number>)}
BITFIELD_RO <key> {GET <bitfield> <bit>}
PFADD <hll> {<value>}
PFADD <hll> {<value>}
PFCOUNT {<hll>}
PFMERGE <hll> {<hll>}
PFDEBUG (DECODE|ENCODING|TODENSE|<odd>) <hll>
GEOADD <key> [NX|XX] [CH] {<longitude> <latitude> <field>}
GEOADD <key> {<longitude> <latitude> <field>}
GEODIST <key> <field> <field> [<unit>]
(GEOPOS|GEOHASH) <key> {<field>}
GEOSEARCH <key> (FROMMEMBER <field>|FROMLONLAT <longitude> <latitude>) (BYRADIUS <length> <unit>|BYBOX <length> <length> <unit>) [ASC|DESC] [COUNT <count> [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]
GEOSEARCHSTORE <key> <key> (FROMMEMBER <field>|FROMLONLAT <longitude> <latitude>) (BYRADIUS <length> <unit>|BYBOX <length> <length> <unit>) [ASC|DESC] [COUNT <count> [ANY]]
(GEORADIUS|GEORADIUS_RO) <key> <longitude> <latitude> <length> <unit> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count> [ANY]] [ASC|DESC]
(GEORADIUSBYMEMBER|GEORADIUSBYMEMBER_RO) <key> <field> <length> <unit> [WITHDIST] [COUNT <count>] [ASC|DESC] [STORE <key>]
(SORT|SORT_RO) <key> [ALPHA] [ASC|DESC] [LIMIT <index> <index>] [GET #]
(SORT|SORT_RO) <key> BY (foo:*|*|*->f) [ASC|DESC] [LIMIT <index> <index>] [GET #] [GET foo:*] [GET *->f]
SORT <key> ALPHA GET (foo:*|*->f|*)
PING [<value>]
ECHO <value>
SELECT <db>
SELECT <db>
RESET
HELLO [(2|3|<odd>) [AUTH default <odd>] [SETNAME <odd>]]
AUTH <odd> [<odd>]
CLIENT (ID|GETNAME|INFO|LIST|UNPAUSE)
CLIENT SETNAME <odd>
CLIENT REPLY (ON|<odd>)
CLIENT NO-EVICT (ON|OFF|<odd>)
CLIENT KILL <odd>
CLIENT KILL ID 0
CLIENT KILL (ID|TYPE|ADDR|LADDR) <odd>
CLIENT LIST (ID|TYPE) <odd>
CLIENT PAUSE (0|-1|abc|1.5) [WRITE|ALL|abc]
CLIENT <odd>
INFO [server|keyspace|everything|<odd>]
CONFIG GET <odd>
CONFIG SET <odd> <odd>
CONFIG GET (maxmemory-policy|databases|proto-max-bulk-len)
CONFIG <odd>
COMMAND COUNT
COMMAND GETKEYS SET <key> <value>
COMMAND GETKEYS MSET {<key> <value>}
COMMAND GETKEYS <odd> {<odd>}
COMMAND INFO <odd>
COMMAND DOCS <odd>
COMMAND <odd>
TIME
LASTSAVE
ROLE
WAIT 0 <count>
MEMORY USAGE <key> [SAMPLES <count>]
MEMORY <odd>
SLOWLOG (LEN|RESET)
SLOWLOG GET [0]
SLOWLOG <odd>
LATENCY (LATEST|RESET)
LATENCY HISTORY <odd>
LATENCY <odd>
DEBUG SLEEP 0
LOLWUT VERSION 1
MULTI
EXEC
DISCARD
UNWATCH
WATCH <key>
NOSUCHCOMMAND {<odd>}
`), "\n")

// fragile commands are never spoiled: one argument too few or another number
// and they would block, or stop the server, or take a member at random, or the time, or have another number of replies. (HELLO: 7.0 does what stands before
// a wrong word, 7.2 does nothing. ZRANK, ZREVRANK: 7.2 has WITHSCORE, so what is a word too many for 7.0, which then
// aborts a transaction, may be none.)
var fragile = map[string]bool{"WAIT": true, "DEBUG": true, "CLIENT": true, "CONFIG": true, "HELLO": true, "SPOP": true, "ZRANK": true, "ZREVRANK": true,
	"XADD": true, "XREAD": true, "XREADGROUP": true, "XCLAIM": true, "XAUTOCLAIM": true, "XPENDING": true, "XSETID": true,
	"BLPOP": true, "BRPOP": true, "BZPOPMIN": true, "BZPOPMAX": true, "BLMOVE": true, "BRPOPLPUSH": true, "BLMPOP": true, "BZMPOP": true,
	"SHUTDOWN": true, "SUBSCRIBE": true, "PSUBSCRIBE": true, "SSUBSCRIBE": true, "UNSUBSCRIBE": true, "PUNSUBSCRIBE": true, "SUNSUBSCRIBE": true,
	"MONITOR": true, "REPLICAOF": true, "SLAVEOF": true, "ACL": true, "SAVE": true, "BGSAVE": true, "BGREWRITEAOF": true}

// token returns a random argument of a kind.
func (g *generator) token(kind string) string {
	if kind != "odd" && kind != "key" && kind != "value" && kind != "id" && kind != "hll" && kind != "payload" && kind != "save" && kind != "outputlimit" && kind != "empty" && g.rng.IntN(25) == 0 {
		kind = "odd"
	}
	switch kind {
	case "key":
		return pick(g, keys...)
	case "value":
		if g.rng.IntN(3) == 0 {
			return g.token("number")
		}
		return pick(g, values...)
	case "number":
		return pick(g, numbers...)
	case "field":
		return pick(g, fields...)
	case "score":
		return pick(g, scores...)
	case "float":
		return pick(g, floats...)
	case "index":
		return pick(g, "0", "1", "2", "3", "5", "-1", "-2", "-3", "-100", "100", "44", "9223372036854775807", "-9223372036854775808")
	case "offset":
		return pick(g, "0", "0", "1", "2", "5", "10", "100", "-1", "536870912", "9223372036854775807", "4294967296")
	case "bit":
		return pick(g, "0", "1", "7", "8", "30", "100", "1000", "#0", "#3", "4294967296", "-1")
	case "bitfield":
		return pick(g, "u1", "u8", "i8", "i5", "u7", "i16", "u32", "i64", "u63", "u64", "i65", "u0")
	case "hll":
		// Apart from other keys: PFCOUNT leaves other bytes in Redis.
		return pick(g, "hll:1", "hll:2", "{tag}hll")
	case "longitude":
		return pick(g, "13.361389", "15.087269", "13", "-122.4194", "179.99", "-180", "180", "0", "181")
	case "latitude":
		return pick(g, "38.115556", "37.502669", "37.7749", "-33.8688", "85.05112878", "-85", "0", "66.5", "86")
	case "length":
		return pick(g, "1", "0", "100", "200", "5000", "20000", "1e7", "-1")
	case "unit":
		return pick(g, "m", "km", "km", "FT", "mi")
	case "count":
		return pick(g, "1", "2", "5", "10", "100", "1000")
	case "db":
		return pick(g, "0", "0", "0", "1", "2", "15", "16", "-1")
	case "pattern":
		return pick(g, patterns...)
	case "sec":
		return pick(g, "100", "1000", "100000", "0", "-1", "-100", "9223372036854775807", "9223372036854775", "-9223372036854775808", "4294967296")
	case "ms":
		return pick(g, "100000", "200000", "1000001", "0", "-1", "-100", "9223372036854775807", "-9223372036854775808", "4294967296")
	case "at":
		return pick(g, "4102444800", "4102444801", "5000000000", "1", "0", "-1", "9223372036854775807", "9223372036854776", "-9223372036854775808")
	case "atms":
		return pick(g, "4102444800000", "4102444800001", "5000000000999", "1", "0", "-1", "9223372036854775807", "-9223372036854775808")
	case "skey": // few, so that streams are not always of another type
		if g.rng.IntN(12) == 0 {
			return g.token("key")
		}
		return pick(g, "stream1", "stream1", "{tag}stream")
	case "id":
		if g.rng.IntN(20) == 0 {
			return pick(g, "", "x", "1-", "0-0", "7-*", "18446744073709551616", "(5", "1-x")
		}
		return strconv.Itoa(1+g.rng.IntN(50)) + "-" + strconv.Itoa(g.rng.IntN(3))
	case "lex":
		return pick(g, "-", "-", "+", "+", "[f", "(f", "[g", "(1", "[", "(", "[bin\x00\xff", "[x", "f", "", "-f")
	case "odd":
		return pick(g, odd...)
	case "empty":
		return ""
	case "script":
		return pick(g, shortScripts...)
	case "library":
		return pick(g, libraries...)
	case "payload":
		return pick(g, payloads...)
	case "save":
		return pick(g, "", "x", "1", "1 x", "-1 1", "0 1", "900 1 5", "3600 1")
	case "outputlimit":
		return pick(g, "", "normal", "normal 0 0", "nope 0 0 0", "normal x 0 0", "normal 0 0 0", "normal -1 0 0", "normal 0 0 x", "pubsub 32mb 8mb 60")
	}
	panic("no such kind of argument: " + kind)
}

var keys = []string{"a", "a", "b", "b", "c", "k1", "k2", "{tag}1", "{tag}2", "{}x", "", "with space",
	"bin\x00\xff\r\n", "h[a]llo", "*", "foo:1", "foo:2", strings.Repeat("long", 80)}

var values = []string{"", "v", "hello", "ohmytext", "mynewtext", "bin\x00\xff\r\n\xfe", "with space",
	strings.Repeat("x", 44), strings.Repeat("x", 45), strings.Repeat("abc", 400), "3.0", "1e3", "5.0e3", " 1", "1 ", "+1",
	"0x10", "inf", "nan", "-0", "007", "1.5", "ab\x80\x90", "\"quoted\"", "-", "3.14159265358979"}

var numbers = []string{"0", "1", "-1", "2", "10", "100", "9999", "10000", "12345", "-12345", "2147483647", "2147483648",
	"-2147483648", "4294967296", "9223372036854775807", "9223372036854775806", "-9223372036854775808",
	"9223372036854775808", "-9223372036854775809", "18446744073709551615", "00", "+5", "-0", "1.0"}

var floats = []string{"1", "-1", "0", "0.1", "0.2", "-0.3", "1.5", "1e3", "1.23e-5", "3.0e3", "1e17", "1e18", "123456789.123456789",
	"1e-17", "5e-324", "1e300", "-1e300", "1e400", "1e4932", "1e5000", "inf", "-inf", "+inf", "infinity", "nan", "0x1p3", "0x10", ".5", "5.", "",
	" 1", "1 ", "1e", "--1", "3.999999999999999999", "10.05", "9223372036854775807", "0.30000000000000004", "-0", "-0.0"}

var fields = []string{"f", "g", "h", "1", "2", "-3", "007", "", "bin\x00\xff\r\n", strings.Repeat("x", 64), strings.Repeat("y", 65)}

// scores are numbers that 7.0, with seventeen digits, and 7.2, with as few as will
// do, write alike.
var scores = []string{"0", "1", "2", "-1", "3.5", "-0.25", "10", "inf", "-inf", "+inf", "1e3", "0x10"}

var patterns = []string{"*", "*", "k*", "k?", "?", "[a-b]", "[^a]", "[ab", "[", "[a-", "\\*", "\\", "{tag}*", "", "*a*", "h\\[a\\]llo",
	"foo:*", "foo:[0-9]", "**", "*\xff*", "?*?", "[^a-c]*", "[z-a]", "with space", "A", "*:1"}

var odd = []string{"", "0", "-1", "1.5", "abc", "NX", "XX", "EX", "PX", "KEEPTTL", "GET", "nan", "9223372036854775808",
	"with space", "new\nline", "bin\x00\xff", "*", "default", "set", "get", "mget", "HELP", "3", "2", "100000", "yes", "ID", strings.Repeat("odd", 50)}
