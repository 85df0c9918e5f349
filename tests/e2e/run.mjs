// Runs the reference clients against Spoor:
//   SPOOR=target/release/spoor node run.mjs [SUITE...]     starts the program by itself
//   SPOOR_URL=http://127.0.0.1:4000 node run.mjs [SUITE...]  takes one that runs
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
import { start } from './server.mjs';

const suites = { audits, push, queries, mutations, protocol, subscriptions, sse, pages, slow };
const wanted = process.argv.slice(2);

/** Runs the wanted checks one after the other; answers how many failed. */
async function run(base) {
  const context = {
    base,
    graphql: `${base}/graphql`,
    socket: `${base.replace(/^http/, 'ws')}/graphql`,
    run: randomBytes(6).toString('hex'),
  };
  let [passed, failed] = [0, 0];
  for (const [suite, checks] of Object.entries(suites)) {
    if (wanted.length && !wanted.includes(suite)) continue;
    for (const [name, check] of checks) {
      const started = Date.now();
      try {
        await check(context);
        passed += 1;
        console.log(`ok ${suite}: ${name} (${Date.now() - started} ms)`);
      } catch (error) {
        failed += 1;
        console.log(`not ok ${suite}: ${name}\n${error?.stack ?? JSON.stringify(error)}`);
      }
    }
  }
  console.log(`# tests ${passed + failed}\n# pass ${passed}\n# fail ${failed}`);
  return failed;
}

const { SPOOR, SPOOR_URL } = process.env;
const server = SPOOR ? await start(SPOOR) : { base: SPOOR_URL ?? 'http://127.0.0.1:4000' };
let failed;
try {
  failed = await run(server.base.replace(/\/$/, ''));
} finally {
  await server.stop?.();
}
process.exit(failed ? 1 : 0);
