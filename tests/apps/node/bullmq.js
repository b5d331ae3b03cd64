'use strict';

// A job queue of BullMQ, one process for each part:
//
//   bullmq.js add FROM TO   adds jobs with these numbers, again where it was not told
//   bullmq.js work          does jobs until it is killed
//   bullmq.js report TO     waits until so many jobs are completed, and prints as JSON
//                           how often each was done, completed and moved as stalled
//
// What a job does is one HINCRBY, so what was done twice shows.

const { Queue, Worker } = require('bullmq');
const { ioredis, run, until } = require('./place');

const prefix = '{bull}';
const name = 'jobs';
const done = '{bull}:done';

// patient tries again what failed for lack of a leader or a connection.
async function patient(limit, what) {
  const end = Date.now() + limit;
  for (;;) {
    try {
      return await what();
    } catch (err) {
      if (Date.now() > end) {
        throw err;
      }
      await new Promise((go) => setTimeout(go, 50));
    }
  }
}

function open(Kind, ...args) {
  const options = args.pop() || {};
  const it = new Kind(name, ...args, { connection: ioredis({ maxRetriesPerRequest: null }), prefix, ...options });
  it.on('error', () => {}); // while there is no leader; what was meant is tried again
  return it;
}

async function add(from, to) {
  const queue = open(Queue);
  for (let i = from; i < to; i++) {
    const options = { jobId: `job-${i}`, attempts: 50, backoff: { type: 'fixed', delay: 50 }, delay: i % 5 === 0 ? 100 : 0, priority: i % 3 };
    await patient(30000, () => queue.add('work', { i }, options));
  }
}

function work() {
  const ledger = ioredis({ maxRetriesPerRequest: null });
  const options = { concurrency: 4, lockDuration: 1500, stalledInterval: 500, maxStalledCount: 1000, drainDelay: 1 };
  open(Worker, async (job) => {
    await new Promise((go) => setTimeout(go, 20));
    await ledger.hincrby(done, job.data.i, 1);
    return job.data.i;
  }, options);
  console.log('working');
  return new Promise(() => {});
}

async function report(to) {
  const queue = open(Queue);
  const c = ioredis({ maxRetriesPerRequest: null });
  await patient(60000, () => until('all jobs completed', 60000, async () => (await queue.getCompletedCount()) >= to));
  const events = await c.xrange(`${prefix}:${name}:events`, '-', '+');
  const kinds = events.map(([, f]) => Object.fromEntries(f.flatMap((v, i) => (i % 2 ? [] : [[v, f[i + 1]]]))));
  const count = (kind) => {
    const by = {};
    kinds.filter((k) => k.event === kind).forEach((k) => (by[k.jobId] = (by[k.jobId] || 0) + 1));
    return by;
  };
  const counts = await queue.getJobCounts();
  console.log(JSON.stringify({ counts, done: await c.hgetall(done), completed: count('completed'), stalled: count('stalled') }));
}

const [role, ...numbers] = process.argv.slice(2);
process.stdin.on('end', () => process.exit(0)).resume(); // a worker ends with the test that started it
run(() => ({ add, work, report })[role](...numbers.map(Number)));
