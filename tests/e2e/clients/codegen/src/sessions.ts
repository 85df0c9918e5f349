// Typed documents as graphql-codegen's client preset makes them.
import type { ResultOf, VariablesOf } from '@graphql-typed-document-node/core';
import { graphql } from '../generated';

export const sessions = graphql(`
  query Sessions($filter: SessionFilter, $first: Int) {
    sessions(filter: $filter, first: $first) {
      epoch
      nodes { sessionId start statistics { requests } }
    }
  }
`);

export const changes = graphql(`
  subscription Changes($since: EpochToken) {
    sessionChanges(since: $since) { epoch removed { sessionId } }
  }
`);

export const variables: VariablesOf<typeof sessions> = {
  filter: { time: { from: '2026-11-23T20:33:00Z' }, request: { statusClass: ['SERVER_ERROR'] } },
  first: 5,
};

export function starts(answer: ResultOf<typeof sessions>): string[] {
  return (answer.sessions?.nodes ?? []).map((session) => session.start);
}
