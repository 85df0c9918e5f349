// Written by scripts/codegen.mjs from documents.graphql. Do not edit.
import type { Document } from "./document";

/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
export type ContextParameterInput = {
  readonly name: string;
  readonly point: string;
  readonly type?: ParameterType;
  readonly secret?: boolean;
};

export type CreateContextParameterInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly parameter: ContextParameterInput;
  readonly before?: string | null | undefined;
};

export type CreateFlowInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly flow: FlowInput;
  readonly before?: string | null | undefined;
};

export type CreateGroupingKeyInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly key: GroupingKeyInput;
  readonly before?: string | null | undefined;
};

export type CreateScopeRuleInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly rule: ScopeRuleInput;
  readonly before?: string | null | undefined;
};

export type DeleteRuleInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly name: string;
};

export type EndpointPatternInput = {
  readonly app?: string | null | undefined;
  readonly host?: string | null | undefined;
  readonly method?: string | null | undefined;
  readonly path?: string | null | undefined;
};

export type FlowInput = {
  readonly name: string;
  readonly endpoints: ReadonlyArray<EndpointPatternInput>;
};

export type GapInput =
  {   readonly ms: number | string; readonly none?: never; }
  |  { readonly ms?: never;   readonly none: boolean; };

export type GroupingKeyInput = {
  readonly name: string;
  readonly point: string;
  readonly namespace?: string | null | undefined;
  readonly apps?: ReadonlyArray<string>;
  readonly hosts?: ReadonlyArray<string>;
  readonly paths?: ReadonlyArray<string>;
  readonly minLength?: number;
  readonly ignore?: ReadonlyArray<string>;
  readonly per?: Per;
  readonly secret?: boolean;
  readonly gap?: GapInput | null | undefined;
};

export type OrderDirection =
  | 'ASC'
  | 'DESC';

export type OverviewRange = {
  readonly from?: string | null | undefined;
  readonly until?: string | null | undefined;
  readonly stepMinutes?: number | null | undefined;
};

export type ParameterFilter = {
  readonly name: string;
  readonly value: string;
};

export type ParameterType =
  | 'ROLE'
  | 'TEXT'
  | 'USER';

export type Per =
  | 'APP'
  | 'HOST'
  | 'NONE';

export type ReorderRulesInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly names: ReadonlyArray<string>;
};

export type RequestFilter = {
  readonly ids?: ReadonlyArray<string> | null | undefined;
  readonly app?: ReadonlyArray<string> | null | undefined;
  readonly host?: ReadonlyArray<string> | null | undefined;
  readonly endpoint?: ReadonlyArray<string> | null | undefined;
  readonly method?: ReadonlyArray<string> | null | undefined;
  readonly status?: ReadonlyArray<number> | null | undefined;
  readonly statusClass?: ReadonlyArray<StatusClass> | null | undefined;
  readonly attack?: ReadonlyArray<string> | null | undefined;
  readonly ip?: ReadonlyArray<string> | null | undefined;
  readonly network?: ReadonlyArray<string> | null | undefined;
  readonly userAgent?: ReadonlyArray<string> | null | undefined;
  readonly userAgentContains?: string | null | undefined;
  readonly user?: ReadonlyArray<string> | null | undefined;
  readonly role?: ReadonlyArray<string> | null | undefined;
  readonly flow?: ReadonlyArray<string> | null | undefined;
  readonly parameter?: ReadonlyArray<ParameterFilter> | null | undefined;
  readonly malicious?: boolean | null | undefined;
  readonly blocked?: boolean | null | undefined;
  readonly time?: TimeRange | null | undefined;
};

export type RuleErrorCode =
  | 'FIXED'
  | 'INVALID_GLOB'
  | 'INVALID_NAME'
  | 'INVALID_POINT'
  | 'KEY_REUSED'
  | 'NAME_TAKEN'
  | 'NOT_FOUND'
  | 'OUT_OF_RANGE'
  | 'TOO_MANY'
  | 'VERSION_CONFLICT'
  | 'WRONG_NAMES';

export type ScopeAction =
  | 'EXCLUDE'
  | 'INCLUDE';

export type ScopeRuleInput = {
  readonly name: string;
  readonly app?: string | null | undefined;
  readonly host?: string | null | undefined;
  readonly path?: string | null | undefined;
  readonly method?: string | null | undefined;
  readonly action: ScopeAction;
};

export type SessionFilter = {
  readonly and?: ReadonlyArray<SessionFilter> | null | undefined;
  readonly or?: ReadonlyArray<SessionFilter> | null | undefined;
  readonly not?: SessionFilter | null | undefined;
  readonly time?: TimeRange | null | undefined;
  readonly identity?: ReadonlyArray<string> | null | undefined;
  readonly namespace?: ReadonlyArray<string> | null | undefined;
  readonly value?: ReadonlyArray<string> | null | undefined;
  readonly session?: ReadonlyArray<string> | null | undefined;
  readonly request?: RequestFilter | null | undefined;
  readonly open?: boolean | null | undefined;
  readonly weak?: boolean | null | undefined;
  readonly malicious?: boolean | null | undefined;
  readonly blocked?: boolean | null | undefined;
  readonly range?: ReadonlyArray<StatisticRange> | null | undefined;
};

export type SessionOrder = {
  readonly by: SessionStatistic;
  readonly direction?: OrderDirection;
};

export type SessionStatistic =
  | 'BLOCKED'
  | 'DETECTIONS'
  | 'DURATION_MAX_MS'
  | 'DURATION_MS'
  | 'DURATION_P50_MS'
  | 'DURATION_P95_MS'
  | 'DURATION_P99_MS'
  | 'DURATION_SUM_MS'
  | 'END'
  | 'ENDPOINTS'
  | 'ERRORS'
  | 'IPS'
  | 'MALICIOUS'
  | 'REQUESTS'
  | 'REQUEST_BYTES'
  | 'RESPONSE_BYTES'
  | 'SERVER_ERRORS'
  | 'SHADOW'
  | 'START'
  | 'USERS'
  | 'ZOMBIE';

export type SetBuiltInKeyInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly name: string;
  readonly enabled: boolean;
};

export type SettingsInput = {
  readonly gap: GapInput;
  readonly dayZone: string;
  readonly latenessMs: number | string;
  readonly retentionDays?: number | null | undefined;
  readonly idleTimeoutMs: number | string;
  readonly futureMs?: number | string | null | undefined;
};

export type StatisticRange = {
  readonly by: SessionStatistic;
  readonly min?: number | null | undefined;
  readonly max?: number | null | undefined;
};

export type StatusClass =
  | 'CLIENT_ERROR'
  | 'INFORMATIONAL'
  | 'NO_RESPONSE'
  | 'OTHER'
  | 'REDIRECTION'
  | 'SERVER_ERROR'
  | 'SUCCESS';

export type TimeRange = {
  readonly from?: string | null | undefined;
  readonly until?: string | null | undefined;
};

export type UpdateContextParameterInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly name: string;
  readonly parameter: ContextParameterInput;
};

export type UpdateFlowInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly name: string;
  readonly flow: FlowInput;
};

export type UpdateGroupingKeyInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly name: string;
  readonly key: GroupingKeyInput;
};

export type UpdateScopeRuleInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly name: string;
  readonly rule: ScopeRuleInput;
};

export type UpdateSettingsInput = {
  readonly clientMutationId?: string | null | undefined;
  readonly expectedVersion?: number | string | null | undefined;
  readonly settings: SettingsInput;
};

export type NumbersFragment = { readonly requests: number | string, readonly errors: number | string, readonly serverErrors: number | string, readonly detections: number | string, readonly malicious: number | string, readonly blocked: number | string, readonly requestBytes: number | string, readonly responseBytes: number | string, readonly ips: number | string, readonly endpoints: number | string, readonly users: number | string, readonly shadow: number | string, readonly zombie: number | string, readonly durations: { readonly p50Ms: number, readonly p95Ms: number, readonly p99Ms: number, readonly maxMs: number } | null };

export type WhoseFragment = { readonly id: string, readonly identityId: string, readonly namespace: string, readonly value: string, readonly qualifier: string | null, readonly weak: boolean, readonly secret: boolean };

export type TopFragment = { readonly distinct: number | string, readonly denominator: { readonly name: string, readonly count: number | string }, readonly values: ReadonlyArray<{ readonly value: string, readonly count: number | string, readonly share: number }> };

export type SessionRowFragment = { readonly id: string, readonly sessionId: string, readonly start: string, readonly end: string, readonly durationMs: number | string, readonly closesAt: string, readonly identity: WhoseFragment, readonly statistics: NumbersFragment, readonly users: { readonly values: ReadonlyArray<{ readonly value: string }> } | null, readonly addresses: { readonly values: ReadonlyArray<{ readonly value: string }> } | null, readonly roles: { readonly distinct: number | string, readonly values: ReadonlyArray<{ readonly value: string }> } | null, readonly hosts: { readonly distinct: number | string, readonly values: ReadonlyArray<{ readonly value: string }> } | null, readonly flows: { readonly distinct: number | string, readonly values: ReadonlyArray<{ readonly value: string }> } | null, readonly attacks: { readonly distinct: number | string, readonly values: ReadonlyArray<{ readonly value: string, readonly count: number | string }> } | null, readonly topEndpoints: { readonly values: ReadonlyArray<{ readonly value: string, readonly count: number | string }> } | null };

export type SessionsQueryVariables = Exact<{
  filter?: SessionFilter | null | undefined;
  orderBy?: SessionOrder | null | undefined;
  first: number;
  after?: string | null | undefined;
}>;


export type SessionsQuery = { readonly sessions: { readonly epoch: number | string, readonly epochToken: string, readonly nodes: ReadonlyArray<SessionRowFragment>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null, readonly epoch: number | string, readonly consistent: boolean } } | null };

export type SessionCountQueryVariables = Exact<{
  filter?: SessionFilter | null | undefined;
}>;


export type SessionCountQuery = { readonly sessions: { readonly epoch: number | string, readonly totalCount: number | string | null } | null };

export type SessionChangesSubscriptionVariables = Exact<{
  filter?: SessionFilter | null | undefined;
  since?: string | null | undefined;
  snapshot?: number | null | undefined;
  intervalMs?: number | null | undefined;
}>;


export type SessionChangesSubscription = { readonly sessionChanges: { readonly epoch: number | string, readonly epochToken: string, readonly snapshot: boolean, readonly truncated: boolean, readonly added: ReadonlyArray<SessionRowFragment>, readonly updated: ReadonlyArray<SessionRowFragment>, readonly removed: ReadonlyArray<{ readonly id: string, readonly sessionId: string }> } };

export type SessionQueryVariables = Exact<{
  id: string;
}>;


export type SessionQuery = { readonly session: { readonly id: string, readonly sessionId: string, readonly start: string, readonly end: string, readonly durationMs: number | string, readonly closesAt: string, readonly open: boolean, readonly gapMs: number | string | null, readonly continues: { readonly sessionId: string, readonly start: string, readonly end: string } | null, readonly identity: (
      { readonly sessions: { readonly pageInfo: { readonly hasNextPage: boolean }, readonly nodes: ReadonlyArray<{ readonly sessionId: string, readonly start: string, readonly durationMs: number | string, readonly statistics: { readonly requests: number | string, readonly detections: number | string } }> } | null }
      & WhoseFragment
    ), readonly statistics: NumbersFragment, readonly byEndpoint: TopFragment | null, readonly byStatus: TopFragment | null, readonly byAttack: TopFragment | null, readonly byAddress: TopFragment | null, readonly byUser: TopFragment | null, readonly byRole: TopFragment | null, readonly byAgent: TopFragment | null, readonly byFlow: TopFragment | null, readonly byHost: TopFragment | null } | null };

export type RequestRowFragment = { readonly id: string, readonly requestId: string, readonly ts: string, readonly stepMs: number | string | null, readonly method: string, readonly endpoint: string, readonly path: string, readonly status: number | null, readonly durationMs: number | null, readonly requestBytes: number | string, readonly responseBytes: number | string, readonly malicious: boolean, readonly blocked: boolean, readonly flows: ReadonlyArray<string>, readonly attacks: ReadonlyArray<{ readonly type: string }> };

export type SessionRequestsQueryVariables = Exact<{
  id: string;
  filter?: RequestFilter | null | undefined;
  after?: string | null | undefined;
}>;


export type SessionRequestsQuery = { readonly session: { readonly id: string, readonly statistics: { readonly requests: number | string }, readonly requests: { readonly totalCount: number | string, readonly nodes: ReadonlyArray<RequestRowFragment>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null, readonly epoch: number | string, readonly consistent: boolean } } | null } | null };

export type ContentsFragment = { readonly body: string | null, readonly bodyIsJson: boolean, readonly headers: ReadonlyArray<{ readonly name: string, readonly value: string }>, readonly cookies: ReadonlyArray<{ readonly name: string, readonly value: string }>, readonly form: ReadonlyArray<{ readonly name: string, readonly value: string }> };

export type RequestQueryVariables = Exact<{
  session: string;
  request: string;
}>;


export type RequestQuery = { readonly session: { readonly id: string, readonly request: (
      { readonly app: string, readonly host: string | null, readonly query: string | null, readonly ip: string | null, readonly userAgent: string | null, readonly request: ContentsFragment, readonly response: ContentsFragment, readonly attacks: ReadonlyArray<{ readonly type: string, readonly subtype: string | null, readonly point: string | null, readonly payload: string | null, readonly blocked: boolean }>, readonly context: ReadonlyArray<{ readonly name: string, readonly type: ParameterType, readonly value: string }>, readonly why: ReadonlyArray<{ readonly key: string, readonly namespace: string, readonly point: string, readonly worked: boolean, readonly reason: string }> }
      & RequestRowFragment
    ) | null } | null };

export type SumsFragment = { readonly requests: number | string, readonly errors: number | string, readonly serverErrors: number | string, readonly detections: number | string, readonly malicious: number | string, readonly blocked: number | string, readonly requestBytes: number | string, readonly responseBytes: number | string, readonly durationSumMs: number, readonly sessions: number | string, readonly maliciousSessions: number | string, readonly weakSessions: number | string };

export type OverviewQueryVariables = Exact<{
  range?: OverviewRange | null | undefined;
}>;


export type OverviewQuery = { readonly overview: { readonly epoch: number | string, readonly from: string | null, readonly until: string | null, readonly stepMinutes: number | string | null, readonly totals: SumsFragment, readonly series: ReadonlyArray<{ readonly at: string, readonly totals: SumsFragment }>, readonly apps: { readonly totalCount: number | string, readonly nodes: ReadonlyArray<{ readonly app: string, readonly totals: SumsFragment }> } | null } | null };

export type TotalsQueryVariables = Exact<{
  range?: OverviewRange | null | undefined;
}>;


export type TotalsQuery = { readonly overview: { readonly epoch: number | string, readonly totals: SumsFragment } | null };

export type StateFragment = { readonly epoch: number | string, readonly watermark: string | null, readonly lagMs: number | string | null, readonly openSessions: number | string, readonly sessions: number | string, readonly requests: number | string, readonly rulesVersion: number | string, readonly workers: number | string, readonly clockJumpMs: number | string | null, readonly backfill: { readonly version: number | string, readonly done: number | string, readonly total: number | string } | null, readonly memory: { readonly hotBytes: number | string, readonly hotBudgetBytes: number | string, readonly residentBytes: number | string, readonly storeBytes: number | string }, readonly sources: ReadonlyArray<{ readonly source: string, readonly offset: number | string, readonly watermark: string | null, readonly idle: boolean, readonly error: string | null, readonly missing: string | null, readonly counts: { readonly read: number | string, readonly accepted: number | string, readonly bad: number | string, readonly excluded: number | string, readonly unkeyed: number | string, readonly expired: number | string, readonly future: number | string, readonly duplicate: number | string } }>, readonly processes: ReadonlyArray<{ readonly process: number | string, readonly epoch: number | string, readonly sessions: number | string, readonly requests: number | string, readonly hotBytes: number | string, readonly residentBytes: number | string, readonly storeBytes: number | string, readonly workers: number | string }> };

export type StatusQueryVariables = Exact<{ [key: string]: never; }>;


export type StatusQuery = { readonly status: StateFragment | null };

export type StatusChangesSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type StatusChangesSubscription = { readonly statusChanges: StateFragment };

export type DeadLettersQueryVariables = Exact<{
  after?: string | null | undefined;
}>;


export type DeadLettersQuery = { readonly deadLetters: { readonly totalCount: number | string, readonly nodes: ReadonlyArray<{ readonly sequence: number | string, readonly process: number | string, readonly source: string, readonly offset: number | string, readonly code: string, readonly reason: string, readonly raw: string, readonly epoch: number | string }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null, readonly epoch: number | string, readonly consistent: boolean } } | null };

export type RulesFragment = { readonly version: number | string, readonly scope: ReadonlyArray<{ readonly name: string, readonly app: string | null, readonly host: string | null, readonly path: string | null, readonly method: string | null, readonly action: ScopeAction }>, readonly grouping: ReadonlyArray<{ readonly name: string, readonly point: string, readonly namespace: string, readonly apps: ReadonlyArray<string>, readonly hosts: ReadonlyArray<string>, readonly paths: ReadonlyArray<string>, readonly minLength: number | string, readonly ignore: ReadonlyArray<string>, readonly per: Per, readonly secret: boolean, readonly gap: { readonly ms: number | string | null } | null }>, readonly builtInKeys: ReadonlyArray<{ readonly name: string, readonly enabled: boolean }>, readonly context: ReadonlyArray<{ readonly name: string, readonly point: string, readonly type: ParameterType, readonly secret: boolean }>, readonly flows: ReadonlyArray<{ readonly name: string, readonly endpoints: ReadonlyArray<{ readonly app: string | null, readonly host: string | null, readonly method: string | null, readonly path: string | null }> }>, readonly settings: { readonly dayZone: string, readonly latenessMs: number | string, readonly retentionDays: number | string | null, readonly idleTimeoutMs: number | string, readonly futureMs: number | string | null, readonly gap: { readonly ms: number | string | null } } };

export type RulesQueryVariables = Exact<{
  atLeastEpoch?: string | null | undefined;
}>;


export type RulesQuery = { readonly rules: RulesFragment | null };

export type ChangedFragment = { readonly version: number | string | null, readonly effectiveEpoch: number | string | null, readonly effectiveEpochToken: string | null, readonly rules: RulesFragment | null, readonly errors: ReadonlyArray<{ readonly code: RuleErrorCode, readonly path: ReadonlyArray<string>, readonly message: string, readonly current: RulesFragment | null }> };

export type CreateScopeRuleMutationVariables = Exact<{
  input: CreateScopeRuleInput;
}>;


export type CreateScopeRuleMutation = { readonly change: ChangedFragment | null };

export type UpdateScopeRuleMutationVariables = Exact<{
  input: UpdateScopeRuleInput;
}>;


export type UpdateScopeRuleMutation = { readonly change: ChangedFragment | null };

export type DeleteScopeRuleMutationVariables = Exact<{
  input: DeleteRuleInput;
}>;


export type DeleteScopeRuleMutation = { readonly change: ChangedFragment | null };

export type ReorderScopeRulesMutationVariables = Exact<{
  input: ReorderRulesInput;
}>;


export type ReorderScopeRulesMutation = { readonly change: ChangedFragment | null };

export type CreateGroupingKeyMutationVariables = Exact<{
  input: CreateGroupingKeyInput;
}>;


export type CreateGroupingKeyMutation = { readonly change: ChangedFragment | null };

export type UpdateGroupingKeyMutationVariables = Exact<{
  input: UpdateGroupingKeyInput;
}>;


export type UpdateGroupingKeyMutation = { readonly change: ChangedFragment | null };

export type DeleteGroupingKeyMutationVariables = Exact<{
  input: DeleteRuleInput;
}>;


export type DeleteGroupingKeyMutation = { readonly change: ChangedFragment | null };

export type ReorderGroupingKeysMutationVariables = Exact<{
  input: ReorderRulesInput;
}>;


export type ReorderGroupingKeysMutation = { readonly change: ChangedFragment | null };

export type SetBuiltInKeyMutationVariables = Exact<{
  input: SetBuiltInKeyInput;
}>;


export type SetBuiltInKeyMutation = { readonly change: ChangedFragment | null };

export type CreateContextParameterMutationVariables = Exact<{
  input: CreateContextParameterInput;
}>;


export type CreateContextParameterMutation = { readonly change: ChangedFragment | null };

export type UpdateContextParameterMutationVariables = Exact<{
  input: UpdateContextParameterInput;
}>;


export type UpdateContextParameterMutation = { readonly change: ChangedFragment | null };

export type DeleteContextParameterMutationVariables = Exact<{
  input: DeleteRuleInput;
}>;


export type DeleteContextParameterMutation = { readonly change: ChangedFragment | null };

export type ReorderContextParametersMutationVariables = Exact<{
  input: ReorderRulesInput;
}>;


export type ReorderContextParametersMutation = { readonly change: ChangedFragment | null };

export type CreateFlowMutationVariables = Exact<{
  input: CreateFlowInput;
}>;


export type CreateFlowMutation = { readonly change: ChangedFragment | null };

export type UpdateFlowMutationVariables = Exact<{
  input: UpdateFlowInput;
}>;


export type UpdateFlowMutation = { readonly change: ChangedFragment | null };

export type DeleteFlowMutationVariables = Exact<{
  input: DeleteRuleInput;
}>;


export type DeleteFlowMutation = { readonly change: ChangedFragment | null };

export type ReorderFlowsMutationVariables = Exact<{
  input: ReorderRulesInput;
}>;


export type ReorderFlowsMutation = { readonly change: ChangedFragment | null };

export type UpdateSettingsMutationVariables = Exact<{
  input: UpdateSettingsInput;
}>;


export type UpdateSettingsMutation = { readonly change: ChangedFragment | null };

export const SessionsDocument: Document<SessionsQuery, SessionsQueryVariables> = {
  name: "Sessions",
  text: "query Sessions($filter:SessionFilter$orderBy:SessionOrder$first:Int!$after:String){sessions(filter:$filter orderBy:$orderBy first:$first after:$after){epoch epochToken nodes{...SessionRow}pageInfo{hasNextPage endCursor epoch consistent}}}fragment Numbers on Statistics{requests errors serverErrors detections malicious blocked requestBytes responseBytes ips endpoints users shadow zombie durations{p50Ms p95Ms p99Ms maxMs}}fragment SessionRow on Session{id sessionId start end durationMs closesAt identity{...Whose}statistics{...Numbers}users:breakdown(by:USER first:1){values{value}}addresses:breakdown(by:IP first:1){values{value}}roles:breakdown(by:ROLE first:1){distinct values{value}}hosts:breakdown(by:HOST first:1){distinct values{value}}flows:breakdown(by:FLOW first:3){distinct values{value}}attacks:breakdown(by:ATTACK first:3){distinct values{value count}}topEndpoints:breakdown(by:ENDPOINT first:1){values{value count}}}fragment Whose on Identity{id identityId namespace value qualifier weak secret}",
};

export const SessionCountDocument: Document<SessionCountQuery, SessionCountQueryVariables> = {
  name: "SessionCount",
  text: "query SessionCount($filter:SessionFilter){sessions(filter:$filter first:0){epoch totalCount}}",
};

export const SessionChangesDocument: Document<SessionChangesSubscription, SessionChangesSubscriptionVariables> = {
  name: "SessionChanges",
  text: "subscription SessionChanges($filter:SessionFilter$since:EpochToken$snapshot:Int$intervalMs:Int){sessionChanges(filter:$filter since:$since snapshot:$snapshot intervalMs:$intervalMs){epoch epochToken snapshot truncated added{...SessionRow}updated{...SessionRow}removed{id sessionId}}}fragment Numbers on Statistics{requests errors serverErrors detections malicious blocked requestBytes responseBytes ips endpoints users shadow zombie durations{p50Ms p95Ms p99Ms maxMs}}fragment SessionRow on Session{id sessionId start end durationMs closesAt identity{...Whose}statistics{...Numbers}users:breakdown(by:USER first:1){values{value}}addresses:breakdown(by:IP first:1){values{value}}roles:breakdown(by:ROLE first:1){distinct values{value}}hosts:breakdown(by:HOST first:1){distinct values{value}}flows:breakdown(by:FLOW first:3){distinct values{value}}attacks:breakdown(by:ATTACK first:3){distinct values{value count}}topEndpoints:breakdown(by:ENDPOINT first:1){values{value count}}}fragment Whose on Identity{id identityId namespace value qualifier weak secret}",
};

export const SessionDocument: Document<SessionQuery, SessionQueryVariables> = {
  name: "Session",
  text: "query Session($id:ID!){session(id:$id){id sessionId start end durationMs closesAt open gapMs continues{sessionId start end}identity{...Whose sessions(first:20){pageInfo{hasNextPage}nodes{sessionId start durationMs statistics{requests detections}}}}statistics{...Numbers}byEndpoint:breakdown(by:ENDPOINT first:8){...Top}byStatus:breakdown(by:STATUS first:8){...Top}byAttack:breakdown(by:ATTACK first:8){...Top}byAddress:breakdown(by:IP first:5){...Top}byUser:breakdown(by:USER first:5){...Top}byRole:breakdown(by:ROLE first:5){...Top}byAgent:breakdown(by:USER_AGENT first:5){...Top}byFlow:breakdown(by:FLOW first:5){...Top}byHost:breakdown(by:HOST first:5){...Top}}}fragment Numbers on Statistics{requests errors serverErrors detections malicious blocked requestBytes responseBytes ips endpoints users shadow zombie durations{p50Ms p95Ms p99Ms maxMs}}fragment Top on Breakdown{distinct denominator{name count}values{value count share}}fragment Whose on Identity{id identityId namespace value qualifier weak secret}",
};

export const SessionRequestsDocument: Document<SessionRequestsQuery, SessionRequestsQueryVariables> = {
  name: "SessionRequests",
  text: "query SessionRequests($id:ID!$filter:RequestFilter$after:String){session(id:$id){id statistics{requests}requests(filter:$filter first:200 after:$after){totalCount nodes{...RequestRow}pageInfo{hasNextPage endCursor epoch consistent}}}}fragment RequestRow on Request{id requestId ts stepMs method endpoint path status durationMs requestBytes responseBytes malicious blocked flows attacks{type}}",
};

export const RequestDocument: Document<RequestQuery, RequestQueryVariables> = {
  name: "Request",
  text: "query Request($session:ID!$request:String!){session(id:$session){id request(id:$request){...RequestRow app host query ip userAgent request{...Contents}response{...Contents}attacks{type subtype point payload blocked}context{name type value}why{key namespace point worked reason}}}}fragment Contents on Message{headers{name value}cookies{name value}form{name value}body bodyIsJson}fragment RequestRow on Request{id requestId ts stepMs method endpoint path status durationMs requestBytes responseBytes malicious blocked flows attacks{type}}",
};

export const OverviewDocument: Document<OverviewQuery, OverviewQueryVariables> = {
  name: "Overview",
  text: "query Overview($range:OverviewRange){overview(range:$range){epoch from until stepMinutes totals{...Sums}series{at totals{...Sums}}apps(first:20){totalCount nodes{app totals{...Sums}}}}}fragment Sums on Totals{requests errors serverErrors detections malicious blocked requestBytes responseBytes durationSumMs sessions maliciousSessions weakSessions}",
};

export const TotalsDocument: Document<TotalsQuery, TotalsQueryVariables> = {
  name: "Totals",
  text: "query Totals($range:OverviewRange){overview(range:$range){epoch totals{...Sums}}}fragment Sums on Totals{requests errors serverErrors detections malicious blocked requestBytes responseBytes durationSumMs sessions maliciousSessions weakSessions}",
};

export const StatusDocument: Document<StatusQuery, StatusQueryVariables> = {
  name: "Status",
  text: "query Status{status{...State}}fragment State on Status{epoch watermark lagMs openSessions sessions requests rulesVersion workers clockJumpMs backfill:regroup{version done total}memory{hotBytes hotBudgetBytes residentBytes storeBytes}sources{source offset watermark idle error missing counts{read accepted bad excluded unkeyed expired future duplicate}}processes{process epoch sessions requests hotBytes residentBytes storeBytes workers}}",
};

export const StatusChangesDocument: Document<StatusChangesSubscription, StatusChangesSubscriptionVariables> = {
  name: "StatusChanges",
  text: "subscription StatusChanges{statusChanges(intervalMs:1000){...State}}fragment State on Status{epoch watermark lagMs openSessions sessions requests rulesVersion workers clockJumpMs backfill:regroup{version done total}memory{hotBytes hotBudgetBytes residentBytes storeBytes}sources{source offset watermark idle error missing counts{read accepted bad excluded unkeyed expired future duplicate}}processes{process epoch sessions requests hotBytes residentBytes storeBytes workers}}",
};

export const DeadLettersDocument: Document<DeadLettersQuery, DeadLettersQueryVariables> = {
  name: "DeadLetters",
  text: "query DeadLetters($after:String){deadLetters(first:50 after:$after){totalCount nodes{sequence process source offset code reason raw epoch}pageInfo{hasNextPage endCursor epoch consistent}}}",
};

export const RulesDocument: Document<RulesQuery, RulesQueryVariables> = {
  name: "Rules",
  text: "query Rules($atLeastEpoch:EpochToken){rules(atLeastEpoch:$atLeastEpoch){...Rules}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const CreateScopeRuleDocument: Document<CreateScopeRuleMutation, CreateScopeRuleMutationVariables> = {
  name: "CreateScopeRule",
  text: "mutation CreateScopeRule($input:CreateScopeRuleInput!){change:createScopeRule(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const UpdateScopeRuleDocument: Document<UpdateScopeRuleMutation, UpdateScopeRuleMutationVariables> = {
  name: "UpdateScopeRule",
  text: "mutation UpdateScopeRule($input:UpdateScopeRuleInput!){change:updateScopeRule(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const DeleteScopeRuleDocument: Document<DeleteScopeRuleMutation, DeleteScopeRuleMutationVariables> = {
  name: "DeleteScopeRule",
  text: "mutation DeleteScopeRule($input:DeleteRuleInput!){change:deleteScopeRule(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const ReorderScopeRulesDocument: Document<ReorderScopeRulesMutation, ReorderScopeRulesMutationVariables> = {
  name: "ReorderScopeRules",
  text: "mutation ReorderScopeRules($input:ReorderRulesInput!){change:reorderScopeRules(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const CreateGroupingKeyDocument: Document<CreateGroupingKeyMutation, CreateGroupingKeyMutationVariables> = {
  name: "CreateGroupingKey",
  text: "mutation CreateGroupingKey($input:CreateGroupingKeyInput!){change:createGroupingKey(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const UpdateGroupingKeyDocument: Document<UpdateGroupingKeyMutation, UpdateGroupingKeyMutationVariables> = {
  name: "UpdateGroupingKey",
  text: "mutation UpdateGroupingKey($input:UpdateGroupingKeyInput!){change:updateGroupingKey(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const DeleteGroupingKeyDocument: Document<DeleteGroupingKeyMutation, DeleteGroupingKeyMutationVariables> = {
  name: "DeleteGroupingKey",
  text: "mutation DeleteGroupingKey($input:DeleteRuleInput!){change:deleteGroupingKey(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const ReorderGroupingKeysDocument: Document<ReorderGroupingKeysMutation, ReorderGroupingKeysMutationVariables> = {
  name: "ReorderGroupingKeys",
  text: "mutation ReorderGroupingKeys($input:ReorderRulesInput!){change:reorderGroupingKeys(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const SetBuiltInKeyDocument: Document<SetBuiltInKeyMutation, SetBuiltInKeyMutationVariables> = {
  name: "SetBuiltInKey",
  text: "mutation SetBuiltInKey($input:SetBuiltInKeyInput!){change:setBuiltInKey(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const CreateContextParameterDocument: Document<CreateContextParameterMutation, CreateContextParameterMutationVariables> = {
  name: "CreateContextParameter",
  text: "mutation CreateContextParameter($input:CreateContextParameterInput!){change:createContextParameter(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const UpdateContextParameterDocument: Document<UpdateContextParameterMutation, UpdateContextParameterMutationVariables> = {
  name: "UpdateContextParameter",
  text: "mutation UpdateContextParameter($input:UpdateContextParameterInput!){change:updateContextParameter(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const DeleteContextParameterDocument: Document<DeleteContextParameterMutation, DeleteContextParameterMutationVariables> = {
  name: "DeleteContextParameter",
  text: "mutation DeleteContextParameter($input:DeleteRuleInput!){change:deleteContextParameter(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const ReorderContextParametersDocument: Document<ReorderContextParametersMutation, ReorderContextParametersMutationVariables> = {
  name: "ReorderContextParameters",
  text: "mutation ReorderContextParameters($input:ReorderRulesInput!){change:reorderContextParameters(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const CreateFlowDocument: Document<CreateFlowMutation, CreateFlowMutationVariables> = {
  name: "CreateFlow",
  text: "mutation CreateFlow($input:CreateFlowInput!){change:createFlow(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const UpdateFlowDocument: Document<UpdateFlowMutation, UpdateFlowMutationVariables> = {
  name: "UpdateFlow",
  text: "mutation UpdateFlow($input:UpdateFlowInput!){change:updateFlow(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const DeleteFlowDocument: Document<DeleteFlowMutation, DeleteFlowMutationVariables> = {
  name: "DeleteFlow",
  text: "mutation DeleteFlow($input:DeleteRuleInput!){change:deleteFlow(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const ReorderFlowsDocument: Document<ReorderFlowsMutation, ReorderFlowsMutationVariables> = {
  name: "ReorderFlows",
  text: "mutation ReorderFlows($input:ReorderRulesInput!){change:reorderFlows(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};

export const UpdateSettingsDocument: Document<UpdateSettingsMutation, UpdateSettingsMutationVariables> = {
  name: "UpdateSettings",
  text: "mutation UpdateSettings($input:UpdateSettingsInput!){change:updateSettings(input:$input){...Changed}}fragment Changed on RuleChangePayload{version effectiveEpoch effectiveEpochToken rules{...Rules}errors{code path message current{...Rules}}}fragment Rules on RuleSet{version scope{name app host path method action}grouping{name point namespace apps hosts paths minLength ignore per secret gap{ms}}builtInKeys{name enabled}context{name point type secret}flows{name endpoints{app host method path}}settings{gap{ms}dayZone latenessMs retentionDays idleTimeoutMs futureMs}}",
};
