import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { line, push, until } from '../lib.mjs';

const CHANGES = `subscription Changes($value: String!, $since: EpochToken) {
  sessionChanges(filter: { value: [$value] }, since: $since, snapshot: 10, intervalMs: 100) {
    epoch
    epochToken
    snapshot
    added { sessionId open statistics { requests } }
    updated { sessionId statistics { requests } }
    removed { sessionId }
  }
}`;

const connect = ({ socket }) => createClient({ url: socket, webSocketImpl: WebSocket, retryAttempts: 0 });

/** The number of requests after the events of a subscription. */
function apply(state, { data }) {
  const { snapshot, added, updated, removed, epoch, epochToken } = data.sessionChanges;
  if (snapshot) state.sessions.clear();
  for (const { sessionId, statistics } of [...added, ...updated]) {
    state.sessions.set(sessionId, statistics.requests);
  }
  for (const { sessionId } of removed) state.sessions.delete(sessionId);
  assert.ok(epoch >= state.epoch, 'epochs go forward');
  Object.assign(state, { epoch, epochToken });
  return [...state.sessions.values()].reduce((sum, requests) => sum + requests, 0);
}

export default [
  [
    'a subscription begins with a snapshot and goes on with changes',
    async (context) => {
      const value = `live-${context.run}`;
      const client = connect(context);
      const state = { sessions: new Map(), epoch: 0 };
      await push(context, [line(value, `${value}-0`)]);
      const events = client.iterate({ query: CHANGES, variables: { value } });
      const [first] = await until(events, 'snapshot', () => true);
      assert.equal(first.data.sessionChanges.snapshot, true);
      assert.equal(apply(state, first), 1);
      for (let n = 1; n <= 5; n += 1) {
        await push(context, [line(value, `${value}-${n}`)]);
        await until(events, `change ${n}`, (event) => apply(state, event) === n + 1);
      }
      await events.return();
      await client.dispose();
    },
  ],
  [
    'a subscriber that resumes gets what it missed and nothing else',
    async (context) => {
      const value = `resume-${context.run}`;
      const state = { sessions: new Map(), epoch: 0 };
      const before = connect(context);
      await push(context, [line(value, `${value}-0`)]);
      const events = before.iterate({ query: CHANGES, variables: { value } });
      await until(events, 'snapshot', (event) => apply(state, event) === 1);
      await before.dispose();

      await push(context, [line(value, `${value}-1`)]);
      await push(context, [line(value, `${value}-2`), line(value, `${value}-3`)]);
      const after = connect(context);
      const resumed = after.iterate({ query: CHANGES, variables: { value, since: state.epochToken } });
      const seen = await until(resumed, 'changes', (event) => apply(state, event) === 4);
      assert.ok(seen.every(({ data }) => !data.sessionChanges.snapshot), 'no snapshot was needed');
      await after.dispose();
    },
  ],
  [
    'queries and mutations run over the socket, many operations at once',
    async (context) => {
      const client = connect(context);
      const ask = async (query) => (await until(client.iterate({ query }), query, () => true))[0];
      const all = await Promise.all(Array.from({ length: 20 }, () => ask('{ status { epoch } }')));
      assert.ok(all.every(({ data }) => data.status.epoch > 0));
      const refused = await ask('mutation { deleteFlow(input: { name: "none" }) { errors { code } } }');
      assert.deepEqual(refused.data.deleteFlow.errors, [{ code: 'NOT_FOUND' }]);
      await client.dispose();
    },
  ],
  [
    'overview and status are told as they change',
    async (context) => {
      const value = `pace-${context.run}`;
      const client = connect(context);
      const overview = client.iterate({
        query: 'subscription { overviewChanges(intervalMs: 100) { epoch totals { requests } } }',
      });
      const status = client.iterate({
        query: 'subscription { statusChanges(intervalMs: 100) { epoch } }',
      });
      const [first] = await until(overview, 'overview', () => true);
      await until(status, 'status', () => true);
      const { body } = await push(context, [line(value, `${value}-0`)]);
      const requests = first.data.overviewChanges.totals.requests;
      await until(overview, 'more', ({ data }) => data.overviewChanges.totals.requests > requests);
      await until(status, 'epoch', ({ data }) => data.statusChanges.epoch >= body.epoch);
      await client.dispose();
    },
  ],
];
