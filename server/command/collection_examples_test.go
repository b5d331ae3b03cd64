package command

import "testing"

func TestHashes(t *testing.T) {
	c := newClient(t)
	c.expect(
		"hset h f 1 g 2", "2", "hset h f 3", "0", "hget h f", "3", "hget h x", "nil", "hget missing f", "nil", "hmget h f x g", "[3 nil 2]",
		"hsetnx h f 9", "0", "hsetnx h n 9", "1", "hlen h", "3", "hexists h n", "1", "hexists h x", "0", "hstrlen h n", "1", "hstrlen h x", "0",
		"hgetall h", "[f 3 g 2 n 9]", "hkeys h", "[f g n]", "hvals h", "[3 2 9]", "hgetall missing", "[]", "hdel h n x g", "2", "hmset h a 1", "+OK",
		"hset h f", "-ERR wrong number of arguments for 'hset' command", "hmset h f 1 g", "-ERR wrong number of arguments for 'hmset' command",
		"hincrby h f 5", "8", "hincrby h new -5", "-5", "hincrby h f x", "-ERR value is not an integer or out of range",
		"hset h text abc big 9223372036854775807", "2", "hincrby h text 1", "-ERR hash value is not an integer", "hincrby h big 1", "-ERR increment or decrement would overflow",
		"hincrbyfloat h f 0.5", "8.5", "hincrbyfloat h text 1", "-ERR hash value is not a float", "hincrbyfloat h f x", "-ERR value is not a valid float",
		"hincrbyfloat h f inf", "-ERR value is NaN or Infinity", "hscan missing 0 nonsense", "[0 []]", "hscan h x", "-ERR invalid cursor",
		"hscan h 0 MATCH bi*", "[0 [big 9223372036854775807]]", "hscan h 0 TYPE hash", "-ERR syntax error",
		"hrandfield missing", "nil", "hrandfield missing 2", "[]", "hset one f v", "1", "hrandfield one", "f", "hrandfield one 5 WITHVALUES", "[f v]",
		"hrandfield one -2", "[f f]", "hrandfield one 1 other", "-ERR syntax error", "hrandfield one x", "-ERR value is not an integer or out of range",
		"hdel one f", "1", "exists one", "0", "set s v", "+OK", "hget s f", "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"hset s f v", "-WRONGTYPE Operation against a key holding the wrong kind of value", "get h", "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"type h", "+hash", "object encoding h", "listpack", "expire h 10", "1", "hset h k v", "1", "ttl h", "10", "rename h r", "+OK", "ttl r", "10", "set r x", "+OK", "get r", "x",
	)
	c.proto = 3
	c.expect("hset h f v g w", "2", "hgetall h", "%[f v g w]", "hkeys h", "[f g]", "hrandfield h 9 WITHVALUES", "[[f v] [g w]]", "hget h x", "null")
}

func TestSets(t *testing.T) {
	c := newClient(t)
	c.expect(
		"sadd s 3 1 2 1", "3", "smembers s", "[1 2 3]", "object encoding s", "intset", "sadd s a", "1", "object encoding s", "listpack", "smembers s", "[1 2 3 a]",
		"sismember s a", "1", "sismember s x", "0", "smismember s a x 1", "[1 0 1]", "smismember missing a", "[0]", "scard s", "4", "scard missing", "0",
		"srem s a x", "1", "smove s t 3", "1", "smove s t 3", "0", "smove missing t 3", "0", "smembers t", "[3]", "smove s s 1", "1", "smove s s 9", "0",
		"sadd u 2 3 4", "3", "sinter s u", "[2]", "sinter s missing", "[]", "sunion t u", "[3 2 4]", "sdiff u s t", "[4]", "sdiff missing u", "[]",
		"sinterstore d s u", "1", "smembers d", "[2]", "sinterstore d s missing", "0", "exists d", "0", "sunionstore u u s", "4", "scard u", "4", "sdiffstore s s u", "0", "exists s", "0",
		"sintercard 2 u t", "1", "sintercard 1 u LIMIT 2", "2", "sintercard 0 u", "-ERR numkeys should be greater than 0",
		"sintercard 3 u t", "-ERR Number of keys can't be greater than number of args", "sintercard 1 u LIMIT -1", "-ERR LIMIT can't be negative",
		"sintercard 1 u other 1", "-ERR syntax error", "spop missing", "nil", "spop missing 2", "[]", "spop u -1", "-ERR value is out of range, must be positive",
		"spop u 0", "[]", "spop u 1 2", "-ERR syntax error", "spop t", "3", "exists t", "0", "srandmember missing", "nil", "srandmember missing 2", "[]",
		"sadd t only", "1", "srandmember t", "only", "srandmember t -2", "[only only]", "srandmember t 5", "[only]", "sscan t 0", "[0 [only]]",
		"set str v", "+OK", "sadd str a", "-WRONGTYPE Operation against a key holding the wrong kind of value", "sinter missing str", "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"smove t str only", "-WRONGTYPE Operation against a key holding the wrong kind of value", "sunionstore str t", "1", "type str", "+set",
	)
	c.proto = 3
	c.expect("smembers t", "~[only]", "sinter t", "~[only]", "spop t 3", "~[only]", "smembers t", "~[]", "spop t 1", "~[]", "srandmember t", "null")
}

func TestSortedSets(t *testing.T) {
	c := newClient(t)
	c.expect(
		"zadd z 1 a 2 b 3 c", "3", "zadd z XX CH 5 a 9 x", "1", "zadd z NX 7 a 4 d", "1", "zadd z GT CH 1 a 6 b", "1", "zadd z LT 9 a", "0", "zrange z 0 -1 WITHSCORES", "[c 3 d 4 a 5 b 6]",
		"zadd z INCR 1.5 c", "4.5", "zadd z NX INCR 1 c", "nil", "zadd z XX INCR 1 none", "nil", "zadd z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible",
		"zadd z GT LT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible", "zadd z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair",
		"zadd z 1 a 2", "-ERR syntax error", "zadd z x a", "-ERR value is not a valid float", "zadd i inf a", "1", "zincrby i XX a", "-ERR syntax error", "zincrby i -inf a", "-ERR resulting score is not a number (NaN)",
		"zscore z c", "4.5", "zscore z none", "nil", "zmscore z a none", "[5 nil]", "zcard z", "4", "zrank z a", "2", "zrevrank z a", "1", "zrank z none", "nil",
		"zcount z 4 (5", "2", "zcount z x 1", "-ERR min or max is not a float", "zrem z d none", "1", "zrangebyscore z -inf +inf LIMIT 1 1", "[a]",
		"zrevrangebyscore z 6 (4.5 WITHSCORES", "[b 6 a 5]", "zrange z 6 0 BYSCORE REV LIMIT 0 2", "[b a]", "zrevrange z 0 0", "[b]", "zrange z -2 -1", "[a b]",
		"zrange z 0 -1 LIMIT 0 1", "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
		"zrange z - + BYLEX WITHSCORES", "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
		"zadd l 0 a 0 b 0 c 0 d", "4", "zrangebylex l [b (d", "[b c]", "zrevrangebylex l + (b LIMIT 0 1", "[d]", "zlexcount l - [c", "3", "zrange l [a [b BYLEX", "[a b]",
		"zrangebylex l b c", "-ERR min or max not valid string range item", "zremrangebylex l [a [b", "2", "zremrangebyrank l 0 0", "1", "zremrangebyscore l 0 0", "1", "exists l", "0",
		"zrangestore d z 0 1", "2", "zrange d 0 -1", "[c a]", "zrangestore d z 7 9 BYSCORE", "0", "exists d", "0", "zpopmin z", "[c 4.5]", "zpopmax z 5", "[b 6 a 5]", "exists z", "0", "zpopmin z", "[]",
		"zadd x 1 a 2 b", "2", "zadd y 10 b 20 c", "2", "sadd s b", "1", "zunion 2 x y WITHSCORES", "[a 1 b 12 c 20]", "zinter 3 x y s WITHSCORES", "[b 13]", "zdiff 2 x y WITHSCORES", "[a 1]",
		"zunionstore d 2 x y WEIGHTS 2 1 AGGREGATE MAX", "3", "zrange d 0 -1 WITHSCORES", "[a 2 b 10 c 20]", "zinterstore d 2 x missing", "0", "zdiffstore d 2 y x", "1",
		"zintercard 2 x y LIMIT 5", "1", "zunion 0 x", "-ERR at least 1 input key is needed for 'zunion' command", "zunion 2 x", "-ERR syntax error", "zunion 1 x WEIGHTS x", "-ERR weight value is not a float",
		"zmpop 2 missing x MIN COUNT 5", "[x [[a 1] [b 2]]]", "zmpop 1 x MAX", "nil", "zmpop 0 x MAX", "-ERR numkeys should be greater than 0", "zmpop 1 y MIN COUNT 0", "-ERR count should be greater than 0",
		"zrandmember d 3 WITHSCORES", "[c 20]", "zscan d 0", "[0 [c 20]]", "object encoding d", "listpack", "type d", "+zset", "get d", "-WRONGTYPE Operation against a key holding the wrong kind of value",
	)
	c.proto = 3
	c.expect("zadd p 1 a 2 b", "2", "zrange p 0 -1 WITHSCORES", "[[a ,1] [b ,2]]", "zpopmin p", "[a ,1]", "zpopmin p 1", "[[b ,2]]", "zscore p a", "null", "zmpop 1 p MIN", "null")
}
