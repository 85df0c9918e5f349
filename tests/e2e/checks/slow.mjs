// A reader that stops reading while traffic goes on gets the latest value, not a queue of old ones.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { line, push, within } from '../lib.mjs';

const SESSIONS = 400;
const ROUNDS = 60;
// Wide enough that the rounds do not fit into the buffers of the sockets.
const WIDE = Array.from({ length: 14 }, (_, n) => `v${n}: value`).join(' ');
const QUERY = `subscription ($value: [String!]) {
  sessionChanges(filter: { namespace: ["session-id"], value: $value }, snapshot: 1000) {
    epoch
    added { statistics { requests } identity { value ${WIDE} } }
    updated { statistics { requests } identity { value ${WIDE} } }
  }
}`;

export default [
  [
    'a socket that stops reading gets the latest value afterwards',
    async (context) => {
      const values = Array.from({ length: SESSIONS }, (_, n) => `slow-${context.run}-${n}-${'x'.repeat(90)}`);
      const round = (n) => push(context, values.map((value) => line(value, `${value}-${n}`)));
      await round(0);

      const ws = new WebSocket(context.socket, 'graphql-transport-ws', { perMessageDeflate: false });
      const requests = new Map();
      let events = 0;
      let failure;
      let wake = () => {};
      ws.on('message', (text) => {
        const { type, payload } = JSON.parse(text);
        if (type === 'error' || payload?.errors) failure = JSON.stringify(payload);
        if (type === 'next' && payload.data) {
          events += 1;
          const { added, updated } = payload.data.sessionChanges;
          for (const { identity, statistics } of [...added, ...updated]) {
            requests.set(identity.value, statistics.requests);
          }
        }
        wake();
      });
      ws.on('close', (code) => {
        failure = `closed with ${code}`;
        wake();
      });
      const reached = async (count) => within(30_000, `${count} requests each`, (async () => {
        const all = () => values.every((value) => requests.get(value) === count);
        while (!all()) {
          if (failure) throw new Error(failure);
          await new Promise((resolve) => (wake = resolve));
        }
      })());
      await new Promise((resolve) => ws.on('open', resolve));
      ws.send(JSON.stringify({ type: 'connection_init' }));
      ws.send(JSON.stringify({
        id: '1', type: 'subscribe', payload: { query: QUERY, variables: { value: values } },
      }));
      await reached(1);

      ws.pause();
      const before = events;
      for (let n = 1; n <= ROUNDS; n += 1) {
        const { status, body } = await round(n);
        assert.equal(status, 200);
        assert.equal(body.counts.accepted, SESSIONS);
      }
      ws.resume();
      await reached(ROUNDS + 1);
      assert.ok(events - before < ROUNDS, `${events - before} events for ${ROUNDS} rounds`);
      ws.terminate();
    },
  ],
];
