package differential

import (
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// eventSteps are commands whose keyspace events are compared one by one. "expire KEY"
// means to wait until the key is gone by itself.
var eventSteps = strings.Split(strings.TrimSpace(`
SET a 1
SET a 2
SET a 3 EX 100
SET a 3 KEEPTTL
SET a 3 XX GET
SET a 4 NX
SET a 4 EXAT 99999999999
SET nosuch 1 XX
GETSET a 1
GETSET fresh 1
SETNX a 1
SETNX b 1
SETEX c 100 x
PSETEX c 100000 x
MSET a 1 d 2
MSETNX a 1 e 2
MSETNX f 1 g 2
APPEND a x
APPEND h x
SETRANGE a 1 yy
SETRANGE a 1 ""
SETRANGE i 3 x
SETRANGE nosuch 0 ""
SET n 1
INCR n
DECR n
INCRBY n 5
DECRBY n 5
INCR m
INCRBYFLOAT n 1.5
INCR a
GETDEL n
GETDEL nosuch
GETEX a
GETEX a EX 100
GETEX a PERSIST
GETEX a PERSIST
GETEX a PXAT 1
SET a 1
GET a
EXPIRE a 100
EXPIRE a 200 NX
EXPIRE nosuch 100
PEXPIRE a 100000
EXPIREAT a 99999999999
PERSIST a
PERSIST a
EXPIRE a -1
EXPIREAT b 1
DEL a c d nosuch
UNLINK f g
SET a 1
RENAME a b
RENAME b b
SET c 1
RENAME b c
RENAMENX c d
SET e 1
RENAMENX d e
RENAME nosuch x
COPY d f
COPY d f
COPY d f REPLACE
COPY d d2 DB 3
COPY nosuch x
MOVE d 4
MOVE nosuch 4
SET d 1
MOVE d 4
SWAPDB 3 4
HSET h1 a 1
DEL h
HSET h a 1 b 2
HSET h a 3
HMSET h c 1
HSETNX h c 1
HSETNX h d 1
HINCRBY h n 1
HINCRBYFLOAT h n 1.5
HDEL h nosuch
HDEL h a b nosuch
HDEL h c d n
HDEL h a
HSET m x
SADD s a b c
SADD s a
SADD s a d
SREM s nosuch
SREM s a
SMOVE s t b
SMOVE s t nosuch
SADD t c
SMOVE s t c
SMOVE s t d
SMOVE t t b
SPOP t
SPOP t 2
SPOP t 10
SPOP t
SADD s a b c
SADD t b c d
SINTERSTORE u s t
SUNIONSTORE u s t
SDIFFSTORE u s t
SDIFFSTORE u s s
SDIFFSTORE u s s
SREM s a b c
ZADD z 1 a 2 b
ZADD z 1 a
ZADD z XX CH 5 a
ZADD z GT 1 a
ZADD z INCR 1 a
ZADD z NX INCR 1 a
ZINCRBY z 1 a
ZINCRBY z 0 a
ZINCRBY z 1 new
ZREM z nosuch
ZREM z new
ZADD z 1 a 2 b 3 c 4 d 5 e 6 f
ZREMRANGEBYRANK z 0 0
ZREMRANGEBYSCORE z 2 2
ZREMRANGEBYSCORE z 100 200
ZREMRANGEBYLEX z [d [d
ZPOPMIN z
ZPOPMAX z
ZPOPMIN z 0
ZADD z 1 a 2 b 3 c 4 d 5 e 6 f
ZMPOP 2 nosuch z MIN COUNT 2
ZMPOP 1 z MAX
ZADD y 1 a 9 d
ZUNIONSTORE w 2 z y
ZINTERSTORE w 2 z y
ZDIFFSTORE w 2 z y
ZINTERSTORE w 2 z nosuch
ZINTERSTORE w 2 z nosuch
ZRANGESTORE w z 0 -1
ZRANGESTORE w z 100 200
ZPOPMAX z 100
ZREMRANGEBYRANK y 0 -1
DEL l m
LPUSH l a
RPUSH l b c d e
LPUSHX nosuch a
LPUSHX l z
RPUSHX l y
LSET l 0 x
LSET l 100 x
LINSERT l BEFORE b q
LINSERT l AFTER nosuch q
LREM l 0 q
LREM l 0 q
LTRIM l 0 100
LPOP l
RPOP l 2
LPOP l 0
RPOPLPUSH l m
LMOVE l m LEFT RIGHT
LMOVE m m LEFT RIGHT
LMPOP 2 l m LEFT COUNT 2
LMPOP 1 m RIGHT
RPUSH l 1 2 3 4
BLPOP l 1
BRPOP l 1
BLMOVE l m LEFT LEFT 1
BLMPOP 1 1 l LEFT
RPUSH l 1 2 3
LTRIM l 5 6
RPUSH l 3 1 2
SORT l STORE m
SORT nosuch STORE m
LREM l 0 3
LPOP l 9
ZADD z 1 a 2 b 3 c
BZPOPMIN z 1
BZMPOP 1 1 z MAX
XADD s 1-1 f v
XADD s 1-2 f v
XADD nosuch NOMKSTREAM * f v
XADD s MAXLEN 1 1-3 f v
XADD s MAXLEN 5 1-4 f v
XTRIM s MAXLEN 1
XTRIM s MAXLEN 1
XGROUP CREATE s g 0
XGROUP CREATE s2 g $ MKSTREAM
XGROUP SETID s g 0
XGROUP CREATECONSUMER s g c
XGROUP CREATECONSUMER s g c
XREADGROUP GROUP g c STREAMS s >
XADD s 1-5 f v
XREADGROUP GROUP g new STREAMS s >
XREADGROUP GROUP g c STREAMS s 0
XCLAIM s g other 0 1-4
XAUTOCLAIM s g another 0 0
XACK s g 1-4
XGROUP DELCONSUMER s g c
XGROUP DELCONSUMER s g nosuch
XGROUP DESTROY s g
XGROUP DESTROY s g
XDEL s 1-4
XDEL s 9-9
XSETID s 9-9
COPY s s3
RENAME s3 s4
SETBIT bits 7 1
SETBIT bits 7 1
SETBIT bits 7 0
BITFIELD bits SET u8 0 255
BITFIELD bits GET u8 0
BITFIELD bits INCRBY u8 8 1
BITOP AND bits2 bits bits
BITOP OR bits2 nosuch nosuch
BITOP OR bits2 nosuch nosuch
PFADD p a b
PFADD p a b
PFADD p2 c
PFMERGE p3 p p2
PFCOUNT p
GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
GEOADD geo 13.361389 38.115556 Palermo
GEOSEARCHSTORE geo2 geo FROMLONLAT 15 37 BYRADIUS 200 km
GEOSEARCHSTORE geo2 geo FROMLONLAT 15 37 BYRADIUS 1 m
GEORADIUS geo 15 37 200 km STORE geo3
GEORADIUSBYMEMBER geo Palermo 500 km STOREDIST geo3
EVAL return{redis.call('SET',KEYS[1],1),redis.call('DEL',KEYS[1])} 1 script
SET v 1 PX 30
expire v
SADD v2 x
PEXPIRE v2 30
expire v2
`), "\n")

// TestKeyspaceEvents compares the events of keys with Redis's.
func TestKeyspaceEvents(t *testing.T) {
	oracle, dkv := harness.Redis(t), harness.Dkv(t)
	var watchers []*eventWatcher
	for _, s := range []*harness.Server{oracle, dkv} {
		c := s.Dial(t)
		c.OK("CONFIG", "SET", "notify-keyspace-events", "KEAn")
		c.OK("SET", "mark", "1")
		sub := s.Dial(t)
		sub.Do("PSUBSCRIBE", "__key*__:*")
		watchers = append(watchers, &eventWatcher{t, c, sub})
	}
	for _, step := range eventSteps {
		want, got := watchers[0].run(step), watchers[1].run(step)
		if want != got {
			t.Errorf("%s\nRedis: %s\ndkv:   %s", step, want, got)
		}
	}
	for _, w := range watchers {
		// Redis says nothing of what a flush deletes, but the key mark is new then.
		w.c.OK("FLUSHDB")
		if got := w.run("PING"); got != "__keyspace@0__:mark new" {
			t.Errorf("FLUSHDB: %s", got)
		}
		w.until("__keyevent@0__:set")
		w.c.Want("*2\r\n$22\r\nnotify-keyspace-events\r\n$3\r\nAKE\r\n", "CONFIG", "GET", "notify-keyspace-events")
		w.c.OK("CONFIG", "SET", "notify-keyspace-events", "Km")
		w.c.OK("SET", "there", "1")
		for _, step := range []string{"GET there", "GET gone", "MGET gone there gone2", "TTL gone", "EXISTS gone", "HGET gone f", "SET gone3 1 GET", "INCR gone4", "GET missed"} {
			w.c.Do(strings.Fields(step)...)
		}
	}
	if want, got := watchers[0].until("__keyspace@0__:missed"), watchers[1].until("__keyspace@0__:missed"); want != got {
		t.Errorf("keys that are not there\nRedis: %s\ndkv:   %s", want, got)
	}
}

// eventWatcher runs commands on one connection and sees their events on another.
type eventWatcher struct {
	t      *testing.T
	c, sub *harness.TestConn
}

// run returns the events of a command, in the order in which they came.
func (w *eventWatcher) run(step string) string {
	words := strings.Fields(step)
	for i, word := range words {
		if word == `""` {
			words[i] = ""
		}
	}
	if words[0] == "expire" {
		harness.Until(w.t, 20*time.Second, "the key to expire", func() bool { return w.c.DoInt("EXISTS", words[1]) == 0 })
		return w.until("__keyevent@0__:expired")
	}
	w.c.Do(words...)
	w.c.OK("SET", "mark", "1")
	events := w.until("__keyspace@0__:mark")
	w.read() // the same by its event
	return events
}

// until returns the events up to that on a channel.
func (w *eventWatcher) until(channel string) string {
	var events []string
	for {
		at, what := w.read()
		events = append(events, at+" "+what)
		if at == channel {
			return strings.Join(events, ", ")
		}
	}
}

func (w *eventWatcher) read() (channel, message string) {
	w.sub.SetDeadline(time.Now().Add(20 * time.Second))
	r, err := w.sub.Read()
	if err != nil || len(r.Elems) != 4 {
		w.t.Fatalf("waiting for an event: %s, %v", r, err)
	}
	return string(r.Elems[2].Str), string(r.Elems[3].Str)
}
