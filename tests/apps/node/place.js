'use strict';

// Where the server is, as the Go test says it: DKV_NODES is host:port, or several
// with commas between; DKV_CLUSTER=yes asks for a client that knows clusters.

const nodes = process.env.DKV_NODES.split(',').map((at) => {
  const colon = at.lastIndexOf(':');
  return { host: at.slice(0, colon), port: Number(at.slice(colon + 1)) };
});
const cluster = process.env.DKV_CLUSTER === 'yes';

// ioredis returns a client of ioredis. A connection that broke is made again, and
// what was not sent yet waits for it.
function ioredis(options = {}) {
  const Redis = require('ioredis');
  if (!cluster) {
    return new Redis({ ...nodes[0], ...options });
  }
  return new Redis.Cluster(nodes, {
    redisOptions: options,
    clusterRetryStrategy: () => 100,
    retryDelayOnFailover: 100,
    retryDelayOnClusterDown: 100,
    slotsRefreshInterval: 500,
  });
}

// run ends the process with 0 when a program did what it should.
function run(program) {
  program().then(
    () => process.exit(0),
    (err) => {
      console.error(err);
      process.exit(1);
    },
  );
}

// until waits for a condition; it fails after a limit in ms.
async function until(what, limit, condition) {
  const end = Date.now() + limit;
  while (!(await condition())) {
    if (Date.now() > end) {
      throw new Error(`not within ${limit} ms: ${what}`);
    }
    await new Promise((go) => setTimeout(go, 10));
  }
}

module.exports = { nodes, cluster, ioredis, run, until };
