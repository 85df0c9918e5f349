// Documents whose types gql.tada infers from the schema, without generated code for each.
import { initGraphQLTada, type ResultOf, type VariablesOf } from 'gql.tada';
import type { introspection } from './graphql-env';

const graphql = initGraphQLTada<{
  introspection: introspection;
  scalars: { DateTime: string; Long: number; Cidr: string; EpochToken: string };
}>();

export const sessions = graphql(`
  query Sessions($filter: SessionFilter, $first: Int) {
    sessions(filter: $filter, first: $first) {
      epoch
      nodes { sessionId start identity { value } }
    }
  }
`);

export const node = graphql(`
  query Node($id: ID!) {
    node(id: $id) { id ... on Session { open } }
  }
`);

export const variables: VariablesOf<typeof sessions> = {
  filter: { weak: false, request: { method: ['GET'] } },
};

export function values(answer: ResultOf<typeof sessions>): string[] {
  return (answer.sessions?.nodes ?? []).map((session) => session.identity.value);
}
