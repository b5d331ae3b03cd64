'use strict';

// Locks of redlock and the limits of rate-limiter-flexible: both are Lua scripts.

const assert = require('node:assert/strict');
const Redlock = require('redlock');
const { RateLimiterRedis } = require('rate-limiter-flexible');
const { ioredis, run } = require('./place');

// Many take the same lock, change what it guards in two steps, and let it go.
async function locks() {
  const clients = [ioredis(), ioredis(), ioredis()];
  const c = clients[0];
  await c.set('{lock}guarded', 0);
  let inside = 0;
  await Promise.all(clients.map(async (client) => {
    const redlock = new Redlock([client], { retryCount: -1, retryDelay: 5, retryJitter: 5 });
    for (let i = 0; i < 15; i++) {
      const lock = await redlock.lock('{lock}name', 20000);
      inside++;
      assert.equal(inside, 1, 'two have the lock');
      const n = Number(await client.get('{lock}guarded'));
      await client.set('{lock}guarded', n + 1);
      inside--;
      await lock.unlock();
    }
  }));
  assert.equal(await c.get('{lock}guarded'), '45');
  const impatient = new Redlock([c], { retryCount: 1, retryDelay: 5 });
  const held = await impatient.lock('{lock}name', 20000);
  await assert.rejects(impatient.lock('{lock}name', 20000), Redlock.LockError);
  const longer = await held.extend(40000);
  assert.ok((await c.pttl('{lock}name')) > 30000);
  await longer.unlock();
  await assert.rejects(longer.unlock(), Redlock.LockError);
}

async function rates() {
  await ioredis().del('rate:client');
  const limiter = new RateLimiterRedis({ storeClient: ioredis(), keyPrefix: 'rate', points: 5, duration: 60 });
  const outcomes = await Promise.allSettled(Array.from({ length: 12 }, () => limiter.consume('client')));
  assert.equal(outcomes.filter((o) => o.status === 'fulfilled').length, 5);
  const refused = outcomes.find((o) => o.status === 'rejected').reason;
  assert.ok(refused.msBeforeNext > 50000 && refused.msBeforeNext <= 60000, String(refused.msBeforeNext));
  assert.equal((await limiter.get('client')).consumedPoints, 12);
  await limiter.reward('client', 10);
  assert.equal((await limiter.consume('client')).remainingPoints, 2);
  await limiter.block('client', 30);
  await assert.rejects(limiter.consume('client'), (r) => r.msBeforeNext > 20000);
  assert.ok(await limiter.delete('client'));
  assert.equal((await limiter.consume('client')).remainingPoints, 4);
}

run(async () => {
  await locks();
  await rates();
});
