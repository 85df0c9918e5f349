// urql: a query, and a subscription over graphql-ws, against a running Spoor.
import assert from 'node:assert/strict';
import { Client, cacheExchange, fetchExchange, gql, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { changed, push } from './lib.mjs';

const { SPOOR_URL } = process.env;
const socket = createClient({ url: `${SPOOR_URL.replace(/^http/, 'ws')}/graphql`, webSocketImpl: WebSocket });
const client = new Client({
  url: `${SPOOR_URL}/graphql`,
  preferGetMethod: false,
  exchanges: [
    cacheExchange,
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: (request) => ({
        subscribe: (sink) => ({
          unsubscribe: socket.subscribe({ ...request, query: request.query ?? '' }, sink),
        }),
      }),
    }),
  ],
});
const value = `urql-${Date.now()}`;
await push(SPOOR_URL, value, 0);

const answer = await client
  .query(gql`query ($value: [String!]) {
    sessions(filter: { value: $value }) { nodes { sessionId statistics { requests } } }
  }`, { value })
  .toPromise();
assert.equal(answer.error, undefined);
assert.equal(answer.data.sessions.nodes[0].statistics.requests, 1);

const events = client.subscription(gql`subscription ($value: [String!]) {
  sessionChanges(filter: { value: $value }) {
    added { id statistics { requests } }
    updated { id statistics { requests } }
  }
}`, { value });
await changed(
  (next) => events.subscribe(({ data, error }) => next(data, error)),
  () => push(SPOOR_URL, value, 1),
);
await socket.dispose();
