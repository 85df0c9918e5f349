import assert from 'node:assert/strict';
import { createClient } from 'graphql-sse';
import { line, push, until } from '../lib.mjs';

const connect = ({ graphql }) => createClient({ url: graphql, retryAttempts: 0 });

export default [
  [
    'a subscription runs over server-sent events',
    async (context) => {
      const value = `sse-${context.run}`;
      await push(context, [line(value, `${value}-0`)]);
      const client = connect(context);
      const events = client.iterate({
        query: `subscription ($value: String!) {
          sessionChanges(filter: { value: [$value] }) {
            snapshot
            added { statistics { requests } }
            updated { statistics { requests } }
          }
        }`,
        variables: { value },
      });
      const [first] = await until(events, 'snapshot', () => true);
      assert.deepEqual(first.data.sessionChanges, {
        snapshot: true, added: [{ statistics: { requests: 1 } }], updated: [],
      });
      await push(context, [line(value, `${value}-1`)]);
      await until(events, 'change', ({ data }) =>
        data.sessionChanges.updated.some(({ statistics }) => statistics.requests === 2));
      await events.return();
      client.dispose();
    },
  ],
  [
    'queries run over it, and refusals are events',
    async (context) => {
      const client = connect(context);
      const [answer] = await until(client.iterate({ query: '{ status { epoch } }' }), 'answer', () => true);
      assert.ok(answer.data.status.epoch > 0);
      const { value } = await client.iterate({ query: '{ nope }' }).next();
      assert.equal(value.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
      client.dispose();
    },
  ],
  [
    'a mutation does not run over GET, whatever is accepted',
    async ({ graphql }) => {
      const query = encodeURIComponent('mutation { deleteFlow(input: { name: "x" }) { version } }');
      for (const accept of ['text/event-stream', 'application/json']) {
        const response = await fetch(`${graphql}?query=${query}`, { headers: { accept } });
        assert.equal(response.status, 405);
        assert.equal(response.headers.get('allow'), 'POST');
      }
    },
  ],
];
