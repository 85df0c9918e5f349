// Runs the reference clients against a running Spoor: SPOOR_URL=http://127.0.0.1:4000 node run.mjs
//
// Each file of checks/ exports a list of [name, check]. A check throws when something is wrong.
// Data of a run is told from other data by a value of its own, so any server will do.
import { randomBytes } from 'node:crypto';

import audits from './checks/audits.mjs';
import push from './checks/push.mjs';
import queries from './checks/queries.mjs';
import mutations from './checks/mutations.mjs';
import protocol from './checks/protocol.mjs';
import subscriptions from './checks/subscriptions.mjs';
import sse from './checks/sse.mjs';
import pages from './checks/pages.mjs';
import slow from './checks/slow.mjs';

const base = (process.env.SPOOR_URL ?? 'http://127.0.0.1:4000').replace(/\/$/, '');
const context = {
  base,
  graphql: `${base}/graphql`,
  socket: `${base.replace(/^http/, 'ws')}/graphql`,
  run: randomBytes(6).toString('hex'),
};

const suites = { audits, push, queries, mutations, protocol, subscriptions, sse, pages, slow };
const wanted = process.argv.slice(2);
let failed = 0;
for (const [suite, checks] of Object.entries(suites)) {
  if (wanted.length && !wanted.includes(suite)) continue;
  for (const [name, check] of checks) {
    const start = Date.now();
    try {
      await check(context);
      console.log(`ok    ${suite}: ${name} (${Date.now() - start} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${suite}: ${name}\n${error?.stack ?? JSON.stringify(error)}`);
    }
  }
}
console.log(failed ? `${failed} failed` : 'all passed');
process.exit(failed ? 1 : 0);
