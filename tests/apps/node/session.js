'use strict';

// A web server with sessions in connect-redis, and visitors with cookies.

const assert = require('node:assert/strict');
const http = require('node:http');
const session = require('express-session');
const { RedisStore } = require('connect-redis');
const { createClient } = require('redis');
const { nodes, run } = require('./place');

// serve starts a web server that counts the visits of each session.
async function serve(store) {
  const sessions = session({ store, secret: 'not one', resave: false, saveUninitialized: false, cookie: { maxAge: 60000 } });
  const server = http.createServer((req, res) => {
    sessions(req, res, () => {
      if (req.url === '/leave') {
        req.session.destroy(() => res.end('gone'));
        return;
      }
      req.session.visits = (req.session.visits || 0) + 1;
      res.end(String(req.session.visits));
    });
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return server;
}

// visit returns what a page says and the cookie that it gives.
async function visit(server, path, cookie) {
  const answer = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers: cookie ? { cookie } : {} });
  return { text: await answer.text(), cookie: answer.headers.get('set-cookie')?.split(';')[0] ?? cookie };
}

run(async () => {
  const c = createClient({ url: `redis://${nodes[0].host}:${nodes[0].port}` });
  await c.connect();
  const store = new RedisStore({ client: c, prefix: 'session:' });
  const [one, two] = [await serve(store), await serve(store)]; // two web servers, one store
  const first = await visit(one, '/');
  assert.equal(first.text, '1');
  assert.equal((await visit(two, '/', first.cookie)).text, '2');
  assert.equal((await visit(one, '/', first.cookie)).text, '3');
  assert.equal((await visit(two, '/')).text, '1');

  const keys = await c.keys('session:*');
  assert.equal(keys.length, 2);
  const left = await c.pTTL(keys[0]);
  assert.ok(left > 50000 && left <= 60000, `expires in ${left} ms`);
  assert.equal(await new Promise((done, fail) => store.length((err, n) => (err ? fail(err) : done(n)))), 2);
  const all = await new Promise((done, fail) => store.all((err, found) => (err ? fail(err) : done(found))));
  assert.deepEqual(all.map((s) => s.visits).sort(), [1, 3]);

  await visit(two, '/leave', first.cookie);
  assert.equal((await visit(one, '/', first.cookie)).text, '1');
  await new Promise((done, fail) => store.clear((err) => (err ? fail(err) : done())));
  assert.deepEqual(await c.keys('session:*'), []);
});
