// What a console written with Relay asks for: a fragment that is refetched by `node(id:)`, a list
// that pages, a mutation and a subscription.
import { graphql } from 'relay-runtime';
import type { session_row$data } from './__generated__/session_row.graphql';
import type { sessionListQuery } from './__generated__/sessionListQuery.graphql';

export const row = graphql`
  fragment session_row on Session @refetchable(queryName: "sessionRowRefetchQuery") {
    id
    sessionId
    open
    statistics { requests }
  }
`;

export const requests = graphql`
  fragment session_requests on Session
  @argumentDefinitions(first: { type: "Int", defaultValue: 10 }, after: { type: "String" })
  @refetchable(queryName: "sessionRequestsRefetchQuery") {
    requests(first: $first, after: $after) @connection(key: "session_requests") {
      edges { node { id method path } }
    }
  }
`;

export const identity = graphql`
  fragment session_identity on Identity @refetchable(queryName: "sessionIdentityRefetchQuery") {
    id
    value
  }
`;

export const request = graphql`
  fragment session_request on Request @refetchable(queryName: "sessionRequestRefetchQuery") {
    id
    status
  }
`;

export const sessions = graphql`
  fragment session_list on Query
  @argumentDefinitions(first: { type: "Int", defaultValue: 20 }, after: { type: "String" })
  @refetchable(queryName: "sessionListRefetchQuery") {
    sessions(first: $first, after: $after) @connection(key: "session_list_sessions") {
      edges { node { ...session_row ...session_requests } }
    }
  }
`;

export const query = graphql`
  query sessionListQuery($first: Int) {
    ...session_list @arguments(first: $first)
    status { epoch }
  }
`;

export const changes = graphql`
  subscription sessionChangesSubscription($filter: SessionFilter) {
    sessionChanges(filter: $filter) {
      epoch
      added { ...session_row }
      removed { id @deleteRecord }
    }
  }
`;

export const createFlow = graphql`
  mutation sessionCreateFlowMutation($input: CreateFlowInput!) {
    createFlow(input: $input) { version errors { path message } }
  }
`;

export function title({ sessionId, statistics }: session_row$data): string {
  return `${sessionId}: ${statistics.requests} requests`;
}

export function epochOf(response: sessionListQuery['response']): number | undefined {
  return response.status?.epoch;
}
