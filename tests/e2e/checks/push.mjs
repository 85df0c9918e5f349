import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { line, push } from '../lib.mjs';

export default [
  [
    'a push is answered with counts, and number, code and reason of each bad line',
    async (context) => {
      const session = `push-${context.run}`;
      const lines = [line(session, `${session}-1`), 'no json', '', line(session, `${session}-2`)];
      const { status, body } = await push(context, lines);
      assert.equal(status, 200);
      assert.ok(body.epoch > 0);
      assert.equal(body.counts.read, 3);
      assert.equal(body.counts.accepted, 2);
      assert.equal(body.counts.bad, 1);
      assert.equal(body.errors.length, 1);
      assert.equal(body.errors[0].line, 2);
      assert.ok(body.errors[0].code && body.errors[0].reason);
    },
  ],
  [
    'a repeated Idempotency-Key answers the same and changes nothing',
    async (context) => {
      const session = `once-${context.run}`;
      const key = { 'idempotency-key': session };
      const body = [line(session, `${session}-1`)];
      const first = await push(context, body, key);
      const again = await push(context, body, key);
      assert.deepEqual(again, first);
      const other = await push(context, [line(session, `${session}-2`)], key);
      assert.equal(other.status, 409);
      const bad = await push(context, [], { 'idempotency-key': 'x'.repeat(500) });
      assert.equal(bad.status, 400);
    },
  ],
  [
    'a push may be compressed, and is bounded after decompression too',
    async (context) => {
      const session = `gzip-${context.run}`;
      const gzip = { 'content-encoding': 'gzip' };
      const good = await push(context, gzipSync(line(session, `${session}-1`)), gzip);
      assert.equal(good.body.counts.accepted, 1);
      const bomb = await push(context, gzipSync(Buffer.alloc(64 << 20, 10)), gzip);
      assert.equal(bomb.status, 413);
      const broken = await push(context, 'not gzip', gzip);
      assert.equal(broken.status, 400);
      const other = await push(context, 'x', { 'content-encoding': 'br' });
      assert.equal(other.status, 415);
    },
  ],
];
