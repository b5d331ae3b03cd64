'use strict';

// What applications do with node-redis, in both protocols.

const assert = require('node:assert/strict');
const { createClient, createCluster, defineScript, WatchError } = require('redis');
const { nodes, cluster, run, until } = require('./place');

const scripts = {
  addUpTo: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: `local n = redis.call('INCRBY', KEYS[1], ARGV[1])
      if n > tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[2]) end
      return redis.call('GET', KEYS[1])`,
    parseCommand(parser, key, add, limit) {
      parser.pushKey(key);
      parser.push(String(add), String(limit));
    },
    transformReply: (reply) => Number(reply),
  }),
};

async function connect(RESP) {
  const urls = nodes.map((n) => `redis://${n.host}:${n.port}`);
  const c = cluster
    ? createCluster({ rootNodes: urls.map((url) => ({ url })), defaults: { RESP }, RESP, scripts })
    : createClient({ url: urls[0], RESP, scripts });
  c.on('error', (err) => {
    throw err;
  });
  await c.connect();
  return c;
}

async function types(c, RESP) {
  await c.hSet('{n}h', { a: '1', b: '2' });
  assert.deepEqual({ ...(await c.hGetAll('{n}h')) }, { a: '1', b: '2' });
  await c.zAdd('{n}z', [{ score: 1.5, value: 'one' }, { score: Infinity, value: 'last' }]);
  assert.deepEqual(await c.zRangeWithScores('{n}z', 0, -1), [
    { value: 'one', score: 1.5 },
    { value: 'last', score: Infinity },
  ]);
  assert.equal(await c.zScore('{n}z', 'absent'), null);
  await c.sAdd('{n}set', ['x', 'y']);
  assert.deepEqual(new Set(await c.sMembers('{n}set')), new Set(['x', 'y']));
  assert.deepEqual(await c.sendCommand(...raw('{n}set', ['SISMEMBER', '{n}set', 'x'])), 1);
  const scores = await c.sendCommand(...raw('{n}z', ['ZRANGE', '{n}z', '0', '0', 'WITHSCORES']));
  assert.deepEqual(scores, RESP === 3 ? [['one', 1.5]] : ['one', '1.5']);
  const id = await c.xAdd('{n}s', '*', { temperature: '20' });
  const [entry] = await c.xRange('{n}s', '-', '+');
  assert.equal(entry.id, id);
  assert.deepEqual({ ...entry.message }, { temperature: '20' });
  assert.deepEqual(await c.lmPop(['{n}none', '{n}list'], 'LEFT'), null);
}

// raw gives sendCommand its arguments: a cluster's wants to know the key.
function raw(key, args) {
  return cluster ? [key, false, args] : [args];
}

async function scripted(c) {
  await c.del('{n}counter');
  assert.equal(await c.addUpTo('{n}counter', 7, 10), 7);
  assert.equal(await c.addUpTo('{n}counter', 7, 10), 10);
}

async function transaction(c) {
  await c.set('{n}sum', '1');
  const done = await c.multi().incr('{n}sum').get('{n}sum').exec();
  assert.deepEqual(done, [2, '2']);
}

async function watched(c, RESP) {
  const other = await connect(RESP);
  await c.watch('{n}sum');
  await other.set('{n}sum', '5');
  await assert.rejects(c.multi().set('{n}sum', '6').exec(), WatchError);
  assert.equal(await c.get('{n}sum'), '5');
  await other.close();
}

async function iterators(c) {
  const names = new Set();
  await Promise.all(Array.from({ length: 300 }, (_, i) => c.set(`iterate:${i}`, i)));
  for await (const keys of c.scanIterator({ MATCH: 'iterate:*', COUNT: 30 })) {
    keys.forEach((key) => names.add(key));
  }
  assert.equal(names.size, 300);
  const fields = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`f${i}`, `${i}`]));
  await c.hSet('{n}many', fields);
  const seen = {};
  for await (const entries of c.hScanIterator('{n}many', { COUNT: 25 })) {
    entries.forEach(({ field, value }) => (seen[field] = value));
  }
  assert.deepEqual(seen, fields);
}

async function messages(c, RESP) {
  const subscriber = await connect(RESP);
  const got = [];
  await subscriber.subscribe('channel', (text) => got.push(text));
  await subscriber.pSubscribe('chan*', (text, channel) => got.push(`${channel}=${text}`));
  await c.publish('channel', 'text');
  await until('a message', 10000, async () => got.length === 2);
  assert.deepEqual(new Set(got), new Set(['text', 'channel=text']));
  await subscriber.unsubscribe('channel');
  await subscriber.pUnsubscribe();
  await subscriber.close();
}

async function waiting(c, RESP) {
  const waiter = await connect(RESP);
  const popped = waiter.blPop('{n}waiting', 10);
  await c.rPush('{n}waiting', 'job');
  assert.deepEqual({ ...(await popped) }, { key: '{n}waiting', element: 'job' });
  await waiter.close();
}

run(async () => {
  for (const RESP of [2, 3]) {
    const c = await connect(RESP);
    await types(c, RESP);
    await scripted(c);
    await transaction(c);
    await messages(c, RESP);
    await waiting(c, RESP);
    if (!cluster) {
      await watched(c, RESP);
      await iterators(c);
      await c.flushAll();
    } else {
      await Promise.all(['{n}h', '{n}z', '{n}set', '{n}s', '{n}many'].map((key) => c.del(key)));
    }
    await c.close();
  }
});
