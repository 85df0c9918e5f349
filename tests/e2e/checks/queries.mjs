import assert from 'node:assert/strict';
import { GraphQLClient, gql } from 'graphql-request';
import { line, post, push } from '../lib.mjs';

const PAGE = gql`
  query Page($values: [String!], $first: Int, $after: String, $epoch: EpochToken) {
    sessions(
      filter: { namespace: ["session-id"], value: $values }
      orderBy: { by: REQUESTS, direction: ASC }
      first: $first
      after: $after
      atLeastEpoch: $epoch
    ) {
      totalCount
      epoch
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      edges { cursor node { id sessionId identity { id value sessions { nodes { id } } } } }
      nodes { statistics { requests errors durations { maxMs } } }
    }
  }
`;

export default [
  [
    'sessions are filtered, ordered, counted and read page by page',
    async (context) => {
      const client = new GraphQLClient(context.graphql);
      const values = [1, 2, 3].map((n) => `page${n}-${context.run}`);
      const lines = values.flatMap((value, n) =>
        Array.from({ length: n + 1 }, (_, at) => line(value, `${value}-${at}`)),
      );
      const { body } = await push(context, lines);
      const variables = { values, first: 2, epoch: body.epoch_token };
      const one = (await client.request(PAGE, variables)).sessions;
      assert.equal(one.totalCount, 3);
      assert.deepEqual(one.nodes.map((node) => node.statistics.requests), [1, 2]);
      assert.equal(one.nodes[0].statistics.durations.maxMs, 12.5);
      assert.equal(one.pageInfo.hasNextPage, true);
      assert.equal(one.pageInfo.hasPreviousPage, false);
      assert.equal(one.pageInfo.endCursor, one.edges[1].cursor);
      assert.ok(one.epoch >= body.epoch);
      const after = one.pageInfo.endCursor;
      const two = (await client.request(PAGE, { ...variables, after })).sessions;
      assert.deepEqual(two.nodes.map((node) => node.statistics.requests), [3]);
      assert.equal(two.pageInfo.hasNextPage, false);
      assert.equal(two.pageInfo.hasPreviousPage, true);
      const { node } = two.edges[0];
      assert.equal(node.identity.sessions.nodes[0].id, node.id);
    },
  ],
  [
    'a session has its requests in order, their steps, and why they are there',
    async (context) => {
      const client = new GraphQLClient(context.graphql);
      const value = `why-${context.run}`;
      const ts = Date.now() - 10_000;
      const lines = [0, 1500, 4000].map((step, n) => line(value, `${value}-${n}`, { ts: ts + step }));
      const { body } = await push(context, lines);
      const { sessions } = await client.request(
        gql`query ($value: String!, $epoch: EpochToken) {
          sessions(filter: { value: [$value] }, atLeastEpoch: $epoch) {
            nodes {
              id sessionId open durationMs
              breakdown(by: STATUS) { values { value count share } distinct denominator { name count } }
              requests(first: 2) {
                totalCount
                pageInfo { hasNextPage endCursor }
                nodes { id requestId stepMs method status why { key namespace worked } }
              }
            }
          }
        }`,
        { value, epoch: body.epoch_token },
      );
      const [session] = sessions.nodes;
      assert.equal(session.durationMs, 4000);
      assert.equal(session.open, true);
      assert.deepEqual(session.breakdown, {
        values: [{ value: '200', count: 3, share: 1 }],
        distinct: 1,
        denominator: { name: 'requests', count: 3 },
      });
      const { nodes, pageInfo, totalCount } = session.requests;
      assert.equal(totalCount, 3);
      assert.equal(pageInfo.hasNextPage, true);
      assert.deepEqual(nodes.map((request) => request.stepMs), [null, 1500]);
      const tried = nodes[0].why.at(-1);
      assert.equal(tried.worked, true);
      assert.equal(tried.namespace, 'session-id');
      const found = await client.request(
        gql`query ($session: ID!, $raw: ID!, $request: ID!, $after: String) {
          node(id: $request) { __typename id ... on Request { requestId } }
          session(id: $raw) { id requests(after: $after) { nodes { stepMs } } }
          nodes(ids: [$session, $request]) { __typename }
        }`,
        { session: session.id, raw: session.sessionId, request: nodes[1].id, after: pageInfo.endCursor },
      );
      assert.deepEqual(found.node, { __typename: 'Request', id: nodes[1].id, requestId: `${value}-1` });
      assert.equal(found.session.id, session.id);
      assert.deepEqual(found.session.requests.nodes, [{ stepMs: 2500 }]);
      assert.deepEqual(found.nodes.map((node) => node.__typename), ['Session', 'Request']);
    },
  ],
  [
    'overview, rules, dead letters and status answer',
    async (context) => {
      const client = new GraphQLClient(context.graphql);
      const found = await client.request(gql`
        {
          overview { epoch totals { requests sessions } series { at } apps { nodes { app } } }
          rules { version scope { name action } builtInKeys { name enabled } settings { dayZone gap { ms } } }
          deadLetters(first: 5) { totalCount nodes { code reason raw } }
          status { epoch workers memory { residentBytes } sources { source counts { read } } }
        }
      `);
      assert.ok(found.overview.totals.requests > 0);
      assert.equal(found.rules.builtInKeys.length, 16);
      assert.ok(found.status.epoch > 0);
    },
  ],
  [
    'errors have codes of a closed set',
    async (context) => {
      const cases = [
        ['{ nope }', 'GRAPHQL_VALIDATION_FAILED'],
        ['{ status { epoch }', 'GRAPHQL_PARSE_FAILED'],
        ['{ sessions(first: -1) { totalCount } }', 'BAD_USER_INPUT'],
        ['{ sessions(first: 201) { totalCount } }', 'BAD_USER_INPUT'],
        ['{ sessions(after: "x") { totalCount } }', 'BAD_USER_INPUT'],
        ['{ session(id: "x") { id } }', 'BAD_USER_INPUT'],
        ['query ($x: Int!) { sessions(first: $x) { totalCount } }', 'BAD_USER_INPUT'],
        ['query A { status { epoch } } query B { status { epoch } }', 'BAD_REQUEST'],
        ['subscription { statusChanges { epoch } }', 'BAD_REQUEST'],
        [`{ ${'a: status { epoch } '.repeat(40)} }`, 'RESOURCE_EXHAUSTED'],
        [
          '{ sessions(first: 200) { nodes { identity { sessions(first: 200) { nodes { id identity { id } } } } } } }',
          'RESOURCE_EXHAUSTED',
        ],
      ];
      for (const [query, code] of cases) {
        const { body } = await post(context, query);
        assert.equal(body.errors?.[0].extensions?.code, code, `${query}: ${JSON.stringify(body)}`);
      }
    },
  ],
];
