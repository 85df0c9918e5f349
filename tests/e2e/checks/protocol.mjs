// Every close code of graphql-transport-ws, by hand.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { within } from '../lib.mjs';

const INIT = { type: 'connection_init' };
const START = {
  id: '1',
  type: 'subscribe',
  payload: { query: 'subscription { statusChanges { epoch } }' },
};

/** Says all messages and answers the close code. */
function closing({ socket }, messages, protocol = 'graphql-transport-ws', timeout = 15_000) {
  const ws = new WebSocket(socket, protocol);
  const closed = new Promise((resolve, reject) => {
    ws.on('open', () => messages.forEach((message) => ws.send(
      typeof message === 'object' && !Buffer.isBuffer(message) ? JSON.stringify(message) : message,
    )));
    ws.on('close', resolve);
    ws.on('error', reject);
  });
  return within(timeout, JSON.stringify(messages), closed).finally(() => ws.terminate());
}

export default [
  [
    'each offence closes with its code',
    async (context) => {
      const cases = [
        [['nonsense'], 4400],
        [[Buffer.from(JSON.stringify(INIT))], 4400],
        [[INIT, { type: 'start' }], 4400],
        [[INIT, { id: '1', type: 'subscribe', payload: {} }], 4400],
        [[START], 4401],
        [[INIT, INIT], 4429],
        [[INIT, START, START], 4409],
        [[INIT, { type: 'ping', payload: { x: 'y'.repeat(400_000) } }], 1009],
        [[], 4408],
      ];
      for (const [messages, code] of cases) {
        assert.equal(await closing(context, messages), code, JSON.stringify(messages).slice(0, 200));
      }
    },
  ],
  [
    'the old graphql-ws subprotocol, and none at all, are refused',
    async (context) => {
      assert.equal(await closing(context, [], []), 4406);
      await assert.rejects(closing(context, [], 'graphql-ws'));
    },
  ],
  [
    'another origin may not open a socket',
    async ({ socket }) => {
      const ws = new WebSocket(socket, 'graphql-transport-ws', { origin: 'https://evil.example' });
      const status = await within(5_000, 'refusal', new Promise((resolve, reject) => {
        ws.on('unexpected-response', (_, response) => resolve(response.statusCode));
        ws.on('open', () => reject(new Error('opened')));
        ws.on('error', () => {});
      }));
      ws.terminate();
      assert.equal(status, 403);
    },
  ],
  [
    'the server pings, answers pings, and frees an id before it says complete',
    async ({ socket }) => {
      const ws = new WebSocket(socket, 'graphql-transport-ws');
      const said = [];
      let wake = () => {};
      ws.on('message', (text) => {
        said.push(JSON.parse(text));
        wake();
      });
      const heard = async (what, test) => within(20_000, what, (async () => {
        while (!said.some(test)) await new Promise((resolve) => (wake = resolve));
      })());
      await new Promise((resolve) => ws.on('open', resolve));
      const say = (message) => ws.send(JSON.stringify(message));
      say(INIT);
      await heard('ack', ({ type }) => type === 'connection_ack');
      say({ type: 'ping', payload: { n: 1 } });
      await heard('pong', ({ type, payload }) => type === 'pong' && payload.n === 1);
      for (let n = 0; n < 20; n += 1) {
        said.length = 0;
        say({ id: 'same', type: 'subscribe', payload: { query: '{ status { epoch } }' } });
        await heard('complete', ({ type }) => type === 'complete');
        assert.deepEqual(said.map(({ type }) => type), ['next', 'complete']);
      }
      said.length = 0;
      say({ id: 'wrong', type: 'subscribe', payload: { query: '{ nope }' } });
      await heard('error', ({ type }) => type === 'error');
      assert.equal(said[0].payload[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
      await heard('ping', ({ type }) => type === 'ping');
      assert.ok(!said.some(({ type }) => type === 'complete'));
      ws.close();
    },
  ],
];
