// Apollo Client: a query, and a subscription over graphql-ws, against a running Spoor.
import assert from 'node:assert/strict';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client/core';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { changed, push } from './lib.mjs';

const { SPOOR_URL } = process.env;
const socket = createClient({ url: `${SPOOR_URL.replace(/^http/, 'ws')}/graphql`, webSocketImpl: WebSocket });
const client = new ApolloClient({
  cache: new InMemoryCache({ possibleTypes: { Node: ['Session', 'Identity', 'Request'] } }),
  link: ApolloLink.split(
    ({ query }) => query.definitions.some((it) => it.operation === 'subscription'),
    new GraphQLWsLink(socket),
    new HttpLink({ uri: `${SPOOR_URL}/graphql`, fetch }),
  ),
});
const value = `apollo-${Date.now()}`;
await push(SPOOR_URL, value, 0);

const { data } = await client.query({
  query: gql`query ($value: [String!]) {
    sessions(filter: { value: $value }) { nodes { id sessionId statistics { requests } } }
  }`,
  variables: { value },
});
assert.equal(data.sessions.nodes[0].statistics.requests, 1);
const again = await client.query({
  query: gql`query ($id: ID!) { node(id: $id) { id ... on Session { sessionId } } }`,
  variables: { id: data.sessions.nodes[0].id },
});
assert.equal(again.data.node.sessionId, data.sessions.nodes[0].sessionId);

const events = client.subscribe({
  query: gql`subscription ($value: [String!]) {
    sessionChanges(filter: { value: $value }) {
      added { id statistics { requests } }
      updated { id statistics { requests } }
    }
  }`,
  variables: { value },
});
await changed(
  (next, error) => events.subscribe({ next: (event) => next(event.data, event.error), error }),
  () => push(SPOOR_URL, value, 1),
);
await socket.dispose();
client.stop();
