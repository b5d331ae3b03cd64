"""What applications do with redis-py, with hiredis as its parser.

DKV_NODES is host:port, or several with commas between; DKV_CLUSTER=yes asks for the
client that knows clusters. The exit code is 0 when all was as it should be.
"""

import os
import threading

import hiredis
import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import HiredisParser

NODES = [at.rsplit(":", 1) for at in os.environ["DKV_NODES"].split(",")]
CLUSTER = os.environ.get("DKV_CLUSTER") == "yes"


def connect(**options):
    """Return a client of the server or cluster."""
    if CLUSTER:
        return RedisCluster(startup_nodes=[ClusterNode(h, int(p)) for h, p in NODES], **options)
    host, port = NODES[0]
    return redis.Redis(host=host, port=int(port), **options)


def values(r):
    r.delete("{v}bytes", "{v}once", "{v}h", "{v}z", "{v}list")
    assert r.set("{v}bytes", b"\x00\r\n\xff")
    assert r.get("{v}bytes") == b"\x00\r\n\xff"
    assert r.set("{v}once", 1, nx=True, px=50000)
    assert r.set("{v}once", 2, nx=True) is None
    assert 40000 < r.pttl("{v}once") <= 50000
    assert r.hset("{v}h", mapping={"a": 1, "b": "x"}) == 2
    assert r.hgetall("{v}h") == {b"a": b"1", b"b": b"x"}
    assert r.zadd("{v}z", {"one": 1.5, "last": float("inf")}) == 2
    assert r.zrange("{v}z", 0, -1, withscores=True) == [(b"one", 1.5), (b"last", float("inf"))]
    assert r.rpush("{v}list", *range(5)) == 5
    assert r.lrange("{v}list", 1, -2) == [b"1", b"2", b"3"]
    assert r.lpos("{v}list", "3") == 3
    assert r.type("{v}list") == b"list"
    try:
        r.incr("{v}list")
    except redis.ResponseError as err:
        assert str(err).startswith("WRONGTYPE "), err
    else:
        raise AssertionError("INCR of a list")


def pipelines(r):
    r.delete("{p}n", "{p}list")
    p = r.pipeline(transaction=False)
    for i in range(100):
        p.incr("{p}n")
        p.rpush("{p}list", i)
    p.get("{p}n")
    results = p.execute()
    assert len(results) == 201 and results[-1] == b"100"
    p = r.pipeline(transaction=False)
    p.incr("{p}list").get("{p}n")
    failed = p.execute(raise_on_error=False)
    assert isinstance(failed[0], redis.ResponseError) and failed[1] == b"100"


def transactions(r):
    r.set("{t}k", 1)
    with r.pipeline(transaction=True) as p:
        assert p.incr("{t}k").get("{t}k").execute() == [2, b"2"]
    with r.pipeline() as p:
        p.watch("{t}k")
        value = int(p.get("{t}k"))
        connect().set("{t}k", 10)
        p.multi()
        p.set("{t}k", value + 1)
        try:
            p.execute()
        except redis.WatchError:
            pass
        else:
            raise AssertionError("EXEC after a change of what is watched")
    # The loop that does this for an application, from several threads.
    def add(p):
        value = int(p.get("{t}k"))
        p.multi()
        p.set("{t}k", value + 1)

    def repeat():
        client = connect()
        for _ in range(20):
            client.transaction(add, "{t}k")

    threads = [threading.Thread(target=repeat) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert r.get("{t}k") == b"90", r.get("{t}k")


def scripts(r):
    take = r.register_script("""
        local n = redis.call('INCRBY', KEYS[1], ARGV[1])
        return {n, redis.status_reply('FINE'), cjson.encode({n, n}), false}
    """)
    r.delete("{s}n")
    assert take(keys=["{s}n"], args=[5]) == [5, b"FINE", b"[5,5]", None]
    assert take(keys=["{s}n"], args=[2])[0] == 7


def scans(r):
    r.delete("{scan}set", "{scan}h")
    r.sadd("{scan}set", *range(600))
    assert {int(m) for m in r.sscan_iter("{scan}set", count=30)} == set(range(600))
    r.hset("{scan}h", mapping={f"f{i}": i for i in range(400)})
    assert dict(r.hscan_iter("{scan}h", count=30)) == {b"f%d" % i: b"%d" % i for i in range(400)}
    for i in range(200):
        r.set(f"walk:{i}", i)
    assert {k for k in r.scan_iter(match="walk:*", count=20)} >= {b"walk:%d" % i for i in range(200)}


def messages(r):
    p = connect().pubsub()
    p.subscribe("news")
    p.psubscribe("ne?s.*")
    got = []
    kinds = set()
    while kinds != {"subscribe", "psubscribe", "message", "pmessage"}:
        m = p.get_message(timeout=10)
        assert m is not None, got
        got.append(m)
        kinds.add(m["type"])
        if kinds == {"subscribe", "psubscribe"}:
            r.publish("news", "hello")
            r.publish("news.more", "again")
    assert [m["data"] for m in got if m["type"].endswith("message")] == [b"hello", b"again"]
    p.close()


def locks_and_waiting(r):
    r.set("{l}n", 0)

    def repeat():
        client = connect()
        for _ in range(10):
            with client.lock("{l}lock", timeout=20, sleep=0.005):
                client.set("{l}n", int(client.get("{l}n")) + 1)

    threads = [threading.Thread(target=repeat) for _ in range(3)]
    for t in threads:
        t.start()
    got = []
    waiter = threading.Thread(target=lambda: got.append(connect().blpop(["{l}queue"], timeout=20)))
    waiter.start()
    r.rpush("{l}queue", "job")
    for t in threads + [waiter]:
        t.join()
    assert r.get("{l}n") == b"30", r.get("{l}n")
    assert got == [(b"{l}queue", b"job")], got


def streams(r):
    r.delete("{x}s")
    r.xgroup_create("{x}s", "group", id="$", mkstream=True)
    ids = [r.xadd("{x}s", {"n": i}) for i in range(10)]
    [[_, entries]] = r.xreadgroup("group", "one", {"{x}s": ">"}, count=4)
    assert entries == [(ids[i], {b"n": b"%d" % i}) for i in range(4)]
    assert r.xack("{x}s", "group", *ids[:2]) == 2
    assert r.xpending("{x}s", "group")["pending"] == 2
    claimed = r.xautoclaim("{x}s", "group", "two", min_idle_time=0)
    assert [e[0] for e in claimed[1]] == ids[2:4], claimed
    assert r.xtrim("{x}s", maxlen=5, approximate=False) == 5
    assert r.xinfo_stream("{x}s")["length"] == 5


def main():
    assert redis.connection.DefaultParser is HiredisParser, hiredis.__version__
    r = connect()
    parts = [values, pipelines, scripts, streams, messages]
    if not CLUSTER:  # that client has no transactions and knows scans of one node only
        parts += [transactions, scans, locks_and_waiting]
    for part in parts:
        part(r)
        print("ok", part.__name__)
    if not CLUSTER:
        text = connect(decode_responses=True)
        text.hset("{d}h", mapping={"name": "Zoë"})
        assert text.hgetall("{d}h") == {"name": "Zoë"}


main()
