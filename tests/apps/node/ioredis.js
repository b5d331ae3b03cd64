'use strict';

// What applications do with ioredis.

const assert = require('node:assert/strict');
const { cluster, ioredis, run, until } = require('./place');

async function pipelines(c) {
  const p = c.pipeline();
  for (let i = 0; i < 100; i++) {
    p.incr('{p}n').lpush('{p}list', i);
  }
  p.get('{p}n').llen('{p}list').incr('{p}list');
  const results = await p.exec();
  assert.equal(results.length, 203);
  assert.deepEqual(results[200], [null, '100']);
  assert.deepEqual(results[201], [null, 100]);
  assert.match(results[202][0].message, /^WRONGTYPE /);
}

async function transactions(c) {
  await c.del('{t}h');
  await c.set('{t}a', '1');
  const done = await c.multi().incr('{t}a').hset('{t}h', { f: 'v', g: 'w' }).hgetall('{t}h').exec();
  assert.deepEqual(done, [[null, 2], [null, 2], [null, { f: 'v', g: 'w' }]]);
  const failed = await c.multi().incr('{t}h').get('{t}a').exec();
  assert.match(failed[0][0].message, /^WRONGTYPE /);
  assert.deepEqual(failed[1], [null, '2']);
}

async function watched(c, other) {
  await c.set('{w}k', '1');
  await c.watch('{w}k');
  await other.set('{w}k', '2');
  assert.equal(await c.multi().set('{w}k', '3').exec(), null);
  assert.equal(await c.get('{w}k'), '2');
}

async function scripts(c) {
  c.defineCommand('takeIfEnough', {
    numberOfKeys: 1,
    lua: `local have = tonumber(redis.call('GET', KEYS[1]) or '0')
      if have < tonumber(ARGV[1]) then return redis.error_reply('NOTENOUGH only ' .. have) end
      return {redis.call('DECRBY', KEYS[1], ARGV[1]), cjson.encode({left = have - ARGV[1]})}`,
  });
  await c.set('{s}stock', 10);
  assert.deepEqual(await c.takeIfEnough('{s}stock', 4), [6, '{"left":6}']);
  await assert.rejects(c.takeIfEnough('{s}stock', 7), /NOTENOUGH only 6/);
}

async function scans(c) {
  const p = c.pipeline();
  const fields = {};
  for (let i = 0; i < 500; i++) {
    fields[`f${i}`] = String(i);
    p.zadd('{scan}z', i / 2, `m${i}`);
  }
  await p.exec();
  await c.hset('{scan}h', fields);
  const seen = {};
  for await (const part of c.hscanStream('{scan}h', { count: 50 })) {
    for (let i = 0; i < part.length; i += 2) {
      seen[part[i]] = part[i + 1];
    }
  }
  assert.deepEqual(seen, fields);
  const members = new Set();
  for await (const part of c.zscanStream('{scan}z', { match: 'm*' })) {
    for (let i = 0; i < part.length; i += 2) {
      assert.equal(Number(part[i + 1]), Number(part[i].slice(1)) / 2);
      members.add(part[i]);
    }
  }
  assert.equal(members.size, 500);
}

async function keyScan(c) {
  for (let i = 0; i < 300; i++) {
    await c.set(`walk:${i}`, i);
  }
  const found = new Set();
  for await (const part of c.scanStream({ match: 'walk:*', count: 40 })) {
    part.forEach((key) => found.add(key));
  }
  assert.equal(found.size, 300);
}

async function messages(c, subscriber) {
  const got = [];
  subscriber.on('message', (channel, text) => got.push([channel, text]));
  subscriber.on('pmessage', (pattern, channel, text) => got.push([pattern, channel, text]));
  await subscriber.subscribe('news');
  await subscriber.psubscribe('ne?s.*');
  await until('messages that came', 10000, async () => {
    await c.publish('news', 'hello');
    await c.publish('news.more', 'again');
    return got.length >= 2;
  });
  await until('a message to the pattern', 10000, async () => got.some((m) => m.length === 3));
  assert.deepEqual(got.find((m) => m.length === 2), ['news', 'hello']);
  assert.deepEqual(got.find((m) => m.length === 3), ['ne?s.*', 'news.more', 'again']);
  await subscriber.unsubscribe('news');
  await subscriber.punsubscribe('ne?s.*');
}

async function streamsAndWaiting(c, waiter) {
  await c.xgroup('CREATE', '{x}s', 'group', '$', 'MKSTREAM');
  const waiting = waiter.xreadgroup('GROUP', 'group', 'me', 'BLOCK', 10000, 'STREAMS', '{x}s', '>');
  const id = await c.xadd('{x}s', '*', 'field', 'value');
  assert.deepEqual(await waiting, [['{x}s', [[id, ['field', 'value']]]]]);
  assert.equal(await c.xack('{x}s', 'group', id), 1);
  const popping = waiter.blpop('{x}list', 10);
  await c.rpush('{x}list', 'element');
  assert.deepEqual(await popping, ['{x}list', 'element']);
  assert.equal(await waiter.blpop('{x}list', 0.05), null);
}

async function values(c) {
  const bytes = Buffer.from([0, 13, 10, 255, 128]);
  await c.set('{v}binary', bytes);
  assert.deepEqual(await c.getBuffer('{v}binary'), bytes);
  assert.equal(await c.set('{v}once', '1', 'PX', 50000, 'NX'), 'OK');
  assert.equal(await c.set('{v}once', '2', 'PX', 50000, 'NX'), null);
  assert.ok((await c.pttl('{v}once')) > 40000);
  await c.mset('{v}m1', 'a', '{v}m2', 'b');
  assert.deepEqual(await c.mget('{v}m1', '{v}none', '{v}m2'), ['a', null, 'b']);
  await c.geoadd('{v}geo', 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania');
  assert.equal(await c.geodist('{v}geo', 'Palermo', 'Catania', 'km'), '166.2742');
}

run(async () => {
  const [c, other] = [ioredis(), ioredis()];
  for (const part of [pipelines, transactions, scripts, scans, values]) {
    await part(c);
  }
  await messages(c, other);
  await streamsAndWaiting(c, ioredis());
  if (!cluster) {
    await keyScan(c);
    await watched(c, ioredis());
    await pipelines(ioredis({ keyPrefix: 'prefix:' }));
    await transactions(ioredis({ enableAutoPipelining: true }));
  }
});
