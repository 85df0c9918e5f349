import assert from 'node:assert/strict';
import { buildClientSchema, getIntrospectionQuery, parse, printSchema } from 'graphql';
import { asked } from '../../../graphql/assets/address.js';
import { post } from '../lib.mjs';

export default [
  [
    'GraphiQL is served whole from here, under a strict policy',
    async ({ base }) => {
      const page = await fetch(`${base}/graphiql`);
      assert.match(page.headers.get('content-security-policy'), /default-src 'none'/);
      assert.match(page.headers.get('content-security-policy'), /script-src 'self';/);
      const html = await page.text();
      const links = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, link]) => link);
      assert.ok(links.length >= 2);
      for (const link of links.filter((link) => !link.startsWith('data:'))) {
        assert.ok(link.startsWith('/graphiql/'), link);
        assert.equal((await fetch(base + link)).status, 200);
      }
    },
  ],
  [
    'GraphiQL begins with the query of its address',
    async ({ base }) => {
      const query = '{ status { epoch } } # a & b';
      const search = `?${new URLSearchParams({ query, variables: '{"a":1}' })}`;
      assert.deepEqual(asked(search), { query, variables: '{"a":1}' });
      assert.deepEqual(asked('?query=%7Ba%7D'), { query: '{a}', variables: '' });
      for (const none of ['', '?', '?query=', '?other=1']) assert.deepEqual(asked(none), {});
      const script = await (await fetch(`${base}/graphiql/graphiql.js`)).text();
      assert.match(script, /\.get\("query"\)/, 'the bundle is built from it');
    },
  ],
  [
    'the introspection query GraphiQL sends fits the limits, and the SDL is the schema',
    async (context) => {
      const { body } = await post(context, getIntrospectionQuery({ inputValueDeprecation: true }));
      assert.equal(body.errors, undefined, JSON.stringify(body.errors));
      printSchema(buildClientSchema(body.data));
      parse(await (await fetch(`${context.base}/schema.graphql`)).text());
    },
  ],
  [
    'probes answer, and a cross-origin push is refused',
    async ({ base }) => {
      assert.equal((await fetch(`${base}/healthz`)).status, 200);
      assert.equal((await fetch(`${base}/readyz`)).status, 200);
      assert.equal((await fetch(`${base}/`)).status, 200);
      const origin = { origin: 'https://evil.example' };
      const push = await fetch(`${base}/v1/requests`, { method: 'POST', headers: origin, body: '' });
      assert.equal(push.status, 403);
    },
  ],
];
