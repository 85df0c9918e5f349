// Written by scripts/codegen.mjs from documents.graphql. Do not edit.
import type { Document } from "./document";

/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** A context parameter. */
export type ContextParameterInput = {
  /** Unique among context parameters. */
  readonly name: string;
  /** Where the value is read. */
  readonly point: string;
  /** What it is about. */
  readonly type?: ParameterType;
  /** Only a keyed hash of the value is kept or shown. */
  readonly secret?: boolean;
};

/** Adds a context parameter. */
export type CreateContextParameterInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** The new parameter. */
  readonly parameter: ContextParameterInput;
  /** Put it before the parameter of this name; absent: at the end. */
  readonly before?: string | null | undefined;
};

/** Adds a business flow. */
export type CreateFlowInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** The new flow. */
  readonly flow: FlowInput;
  /** Put it before the flow of this name; absent: at the end. */
  readonly before?: string | null | undefined;
};

/** Adds a grouping key. */
export type CreateGroupingKeyInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** The new key. */
  readonly key: GroupingKeyInput;
  /** Put it before the key of this name; absent: at the end. */
  readonly before?: string | null | undefined;
};

/** Adds a rule to its list. */
export type CreateScopeRuleInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** The new rule. */
  readonly rule: ScopeRuleInput;
  /** Put it before the rule of this name; absent: at the end. */
  readonly before?: string | null | undefined;
};

/** Removes the named rule from its list. */
export type DeleteRuleInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** The rule to remove. */
  readonly name: string;
};

/** Globs over an endpoint; an absent one matches everything. */
export type EndpointPatternInput = {
  /** Glob over the app. */
  readonly app?: string | null | undefined;
  /** Glob over the host. */
  readonly host?: string | null | undefined;
  /** Glob over the method. */
  readonly method?: string | null | undefined;
  /** Glob over the path template, such as `/orders/{int}`. */
  readonly path?: string | null | undefined;
};

/** A business flow. */
export type FlowInput = {
  /** Unique among flows. */
  readonly name: string;
  /** A request touches the flow when one of these matches its endpoint. */
  readonly endpoints: ReadonlyArray<EndpointPatternInput>;
};

/** How long a pause ends a session. */
export type GapInput =
  {   /** A step of this many milliseconds or more starts a new session; at most 4294967294. */
  readonly ms: number | string; readonly none?: never; }
  |  { readonly ms?: never;   /** `true`: only the day ends a session. */
  readonly none: boolean; };

/** A grouping key. */
export type GroupingKeyInput = {
  /** Unique among grouping keys. */
  readonly name: string;
  /** Where the value is read, such as `$request.header.authorization | jwt.payload#/sub`. */
  readonly point: string;
  /** Absent: the name. Keys with one namespace and equal values are one identity. */
  readonly namespace?: string | null | undefined;
  /** Globs over apps it is limited to; empty: all. */
  readonly apps?: ReadonlyArray<string>;
  /** Globs over hosts it is limited to; empty: all. */
  readonly hosts?: ReadonlyArray<string>;
  /** Globs over paths it is limited to; empty: all. */
  readonly paths?: ReadonlyArray<string>;
  /** Shorter values (in characters) do not work. */
  readonly minLength?: number;
  /** Values that do not work. */
  readonly ignore?: ReadonlyArray<string>;
  /** Whether the value is distinct for each app or host. */
  readonly per?: Per;
  /** Only a keyed hash of the value is kept or shown. */
  readonly secret?: boolean;
  /** Absent: that of the settings. */
  readonly gap?: GapInput | null | undefined;
};

/** Which way a list runs. */
export type OrderDirection =
  /** Least first. */
  | 'ASC'
  /** Greatest first. */
  | 'DESC';

/** A range of event time, in whole minutes. */
export type OverviewRange = {
  /** From this instant on, rounded down to a whole minute. Absent: since ever. */
  readonly from?: string | null | undefined;
  /** Up to, and without, this instant, rounded up to a whole minute. Absent: for ever. */
  readonly until?: string | null | undefined;
  /**
   * Minutes of a step of the series, from 1 to a year. Steps shorter than a day are counted from
   * the begin of each day of the configured zone; steps of whole days are days of that zone, and
   * those of weeks begin on Mondays. Absent: the shortest of 1, 2, 5, 10, 15, 30 minutes, 1, 2, 6,
   * 12 hours, a day, a week (or as many weeks as it takes) with which the range has no more than
   * 400.
   */
  readonly stepMinutes?: number | null | undefined;
};

/** A context parameter with a value. */
export type ParameterFilter = {
  /** The parameter's name. */
  readonly name: string;
  /** Its value (a keyed hash, if the parameter is secret). */
  readonly value: string;
};

/** What a context parameter is about. */
export type ParameterType =
  /** Names a role. */
  | 'ROLE'
  /** Anything. */
  | 'TEXT'
  /** Names the user. */
  | 'USER';

/** Whether equal values in different apps or hosts are one identity. */
export type Per =
  /** One for each app. */
  | 'APP'
  /** One for each host. */
  | 'HOST'
  /** One identity everywhere. */
  | 'NONE';

/** Puts a list of rules in another order. */
export type ReorderRulesInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** The names of all rules of the list, in the new order. */
  readonly names: ReadonlyArray<string>;
};

/**
 * Which requests. All fields that are given hold for **one and the same request**; a list holds
 * when one of its values does; an empty list, like an absent field, says nothing.
 */
export type RequestFilter = {
  /** Ids of requests. */
  readonly ids?: ReadonlyArray<string> | null | undefined;
  /** Applications. */
  readonly app?: ReadonlyArray<string> | null | undefined;
  /** Hosts. */
  readonly host?: ReadonlyArray<string> | null | undefined;
  /** Endpoints: method and path template, such as `GET /users/{int}`. */
  readonly endpoint?: ReadonlyArray<string> | null | undefined;
  /** Methods. */
  readonly method?: ReadonlyArray<string> | null | undefined;
  /** Response statuses. That no response was seen is no status: see `statusClass`. */
  readonly status?: ReadonlyArray<number> | null | undefined;
  /** Classes of the response status. */
  readonly statusClass?: ReadonlyArray<StatusClass> | null | undefined;
  /** Types of detected attacks. */
  readonly attack?: ReadonlyArray<string> | null | undefined;
  /**
   * Client addresses in any spelling, or the host names logs may have instead. An IPv4-mapped
   * IPv6 address is the IPv4 address.
   */
  readonly ip?: ReadonlyArray<string> | null | undefined;
  /** Networks the client address lies in. */
  readonly network?: ReadonlyArray<string> | null | undefined;
  /** User agents, exactly. */
  readonly userAgent?: ReadonlyArray<string> | null | undefined;
  /** Part of the user agent, in any case. */
  readonly userAgentContains?: string | null | undefined;
  /** Values of context parameters of type `USER`. */
  readonly user?: ReadonlyArray<string> | null | undefined;
  /** Values of context parameters of type `ROLE`. */
  readonly role?: ReadonlyArray<string> | null | undefined;
  /** Business flows. */
  readonly flow?: ReadonlyArray<string> | null | undefined;
  /**
   * Context parameters of any type. Entries with one name are alternatives; several names must
   * all hold.
   */
  readonly parameter?: ReadonlyArray<ParameterFilter> | null | undefined;
  /** Has a detection. */
  readonly malicious?: boolean | null | undefined;
  /** Was blocked. */
  readonly blocked?: boolean | null | undefined;
  /** When the request started. */
  readonly time?: TimeRange | null | undefined;
};

/** Closed set of reasons for refusing a change. */
export type RuleErrorCode =
  /** The setting cannot change once the store holds requests. */
  | 'FIXED'
  /** A glob that does not parse. */
  | 'INVALID_GLOB'
  /** A name that is empty, too long or has control characters. */
  | 'INVALID_NAME'
  /** A point that does not parse. */
  | 'INVALID_POINT'
  /** The `clientMutationId` was used for another change. */
  | 'KEY_REUSED'
  /** Another rule has this name. */
  | 'NAME_TAKEN'
  /** No rule has this name. */
  | 'NOT_FOUND'
  /** A number or zone out of bounds. */
  | 'OUT_OF_RANGE'
  /** Too many rules. */
  | 'TOO_MANY'
  /** Somebody else changed the rules since `expectedVersion`. */
  | 'VERSION_CONFLICT'
  /** The names to order are not exactly the names there are. */
  | 'WRONG_NAMES';

/** What a matching scope rule does. */
export type ScopeAction =
  /** It is counted, retained, and in no session. */
  | 'EXCLUDE'
  /** The request is in a session. */
  | 'INCLUDE';

/** A scope rule; an absent pattern matches everything. */
export type ScopeRuleInput = {
  /** Unique among scope rules. */
  readonly name: string;
  /** Glob over the application. */
  readonly app?: string | null | undefined;
  /** Glob over the host. */
  readonly host?: string | null | undefined;
  /** Glob over the raw path; `*` stays within a segment, `**` does not. */
  readonly path?: string | null | undefined;
  /** Glob over the method. */
  readonly method?: string | null | undefined;
  /** What the rule does. */
  readonly action: ScopeAction;
};

/**
 * Which sessions. All fields that are given hold at once; a list holds when one of its values
 * does; an empty list, like an absent field, says nothing.
 */
export type SessionFilter = {
  /** All of these hold. */
  readonly and?: ReadonlyArray<SessionFilter> | null | undefined;
  /** One of these holds; an empty list never does. */
  readonly or?: ReadonlyArray<SessionFilter> | null | undefined;
  /** This does not hold. */
  readonly not?: SessionFilter | null | undefined;
  /** The session has an instant in the range. */
  readonly time?: TimeRange | null | undefined;
  /** Sessions of these identities: global ids, or 32 hex digits. */
  readonly identity?: ReadonlyArray<string> | null | undefined;
  /** Namespace of the identity. */
  readonly namespace?: ReadonlyArray<string> | null | undefined;
  /**
   * Value of the identity (a keyed hash, if the key is secret). An address in it may be spelled
   * in any way.
   */
  readonly value?: ReadonlyArray<string> | null | undefined;
  /**
   * These sessions: global ids, or `<identity>.<start>`, which finds the session that contains
   * the instant.
   */
  readonly session?: ReadonlyArray<string> | null | undefined;
  /**
   * One and the same request of the session satisfies the whole object. To ask for several
   * requests, combine several filters with `and`.
   */
  readonly request?: RequestFilter | null | undefined;
  /** The watermark has not reached the session's close. */
  readonly open?: boolean | null | undefined;
  /** The identity is the client address, alone or with the user agent. */
  readonly weak?: boolean | null | undefined;
  /** At least one request has a detection. */
  readonly malicious?: boolean | null | undefined;
  /** At least one request was blocked. */
  readonly blocked?: boolean | null | undefined;
  /** Numbers within bounds. */
  readonly range?: ReadonlyArray<StatisticRange> | null | undefined;
};

/**
 * Order of a list of sessions; equal numbers are told apart by id, so every order is total.
 * Sessions that do not have the number (durations, where no request has one) come last, whichever
 * way the list runs.
 */
export type SessionOrder = {
  /** By which number. */
  readonly by: SessionStatistic;
  /** Which way. */
  readonly direction?: OrderDirection;
};

/** Numbers of a session that can bound a filter and order a list. Durations are in milliseconds. */
export type SessionStatistic =
  /** Requests that were blocked. */
  | 'BLOCKED'
  /** Attacks detected: each of each request. */
  | 'DETECTIONS'
  /** Time to the full response, at most. */
  | 'DURATION_MAX_MS'
  /** From the first request to the last. */
  | 'DURATION_MS'
  /** Time to the full response: median. */
  | 'DURATION_P50_MS'
  /** Time to the full response: 95th percentile. */
  | 'DURATION_P95_MS'
  /** Time to the full response: 99th percentile. */
  | 'DURATION_P99_MS'
  /** Time to the full response, summed. */
  | 'DURATION_SUM_MS'
  /** Last request. */
  | 'END'
  /** Distinct endpoints. */
  | 'ENDPOINTS'
  /** Requests with a status of 400 and above. */
  | 'ERRORS'
  /** Distinct client addresses. */
  | 'IPS'
  /** Requests with at least one detection. */
  | 'MALICIOUS'
  /** Requests. */
  | 'REQUESTS'
  /** Bytes of the requests. */
  | 'REQUEST_BYTES'
  /** Bytes of the responses. */
  | 'RESPONSE_BYTES'
  /** Requests with a status of 500 and above. */
  | 'SERVER_ERRORS'
  /** Requests of shadow endpoints. */
  | 'SHADOW'
  /** First request. */
  | 'START'
  /** Distinct users. */
  | 'USERS'
  /** Requests of zombie endpoints. */
  | 'ZOMBIE';

/** Switches a built-in key on or off. */
export type SetBuiltInKeyInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** Its name, such as `PHPSESSID`. */
  readonly name: string;
  /** Whether it is tried. */
  readonly enabled: boolean;
};

/** All settings: they replace those in force. */
export type SettingsInput = {
  /** For keys without a gap of their own. */
  readonly gap: GapInput;
  /** The zone days are counted in: an IANA name. Fixed once the store holds requests. */
  readonly dayZone: string;
  /** How far a source's watermark stays behind its greatest time. */
  readonly latenessMs: number | string;
  /** Days kept behind the watermark's day; null: all. */
  readonly retentionDays?: number | null | undefined;
  /** A source silent for this long no longer holds the watermark back. */
  readonly idleTimeoutMs: number | string;
  /** A request further ahead of the wall clock is refused; null: no limit. */
  readonly futureMs?: number | string | null | undefined;
};

/**
 * A statistic within bounds, both included. What a session does not have (durations, where no
 * request has one) lies within no bounds; without any bound the range says nothing.
 */
export type StatisticRange = {
  /** Which number. `START` and `END` are in milliseconds since 1970. */
  readonly by: SessionStatistic;
  /** At least this. */
  readonly min?: number | null | undefined;
  /** At most this. */
  readonly max?: number | null | undefined;
};

/** Class of a response status. */
export type StatusClass =
  /** 4xx. */
  | 'CLIENT_ERROR'
  /** 1xx. */
  | 'INFORMATIONAL'
  /** No response was seen: the status is absent or 0. */
  | 'NO_RESPONSE'
  /** Any other: below 100, or 600 and above. */
  | 'OTHER'
  /** 3xx. */
  | 'REDIRECTION'
  /** 5xx. */
  | 'SERVER_ERROR'
  /** 2xx. */
  | 'SUCCESS';

/** A range of event time: from the first instant, up to but without the second. */
export type TimeRange = {
  /** Absent: since ever. */
  readonly from?: string | null | undefined;
  /** Absent: for ever. */
  readonly until?: string | null | undefined;
};

/** Replaces a context parameter. */
export type UpdateContextParameterInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** The parameter to replace. */
  readonly name: string;
  /** What it becomes; its name may change. */
  readonly parameter: ContextParameterInput;
};

/** Replaces a business flow. */
export type UpdateFlowInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** The flow to replace. */
  readonly name: string;
  /** What it becomes; its name may change. */
  readonly flow: FlowInput;
};

/** Replaces a grouping key. */
export type UpdateGroupingKeyInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** The key to replace. */
  readonly name: string;
  /** What it becomes; its name may change. */
  readonly key: GroupingKeyInput;
};

/** Replaces a rule. */
export type UpdateScopeRuleInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** The rule to replace. */
  readonly name: string;
  /** What it becomes; its name may change. */
  readonly rule: ScopeRuleInput;
};

/** Replaces the settings. */
export type UpdateSettingsInput = {
  /** Makes a repeat harmless. */
  readonly clientMutationId?: string | null | undefined;
  /** Refuse if the rules are at another version. */
  readonly expectedVersion?: number | string | null | undefined;
  /** All settings. */
  readonly settings: SettingsInput;
};

export type NumbersFragment = { readonly requests: number | string, readonly errors: number | string, readonly serverErrors: number | string, readonly detections: number | string, readonly malicious: number | string, readonly blocked: number | string, readonly requestBytes: number | string, readonly responseBytes: number | string, readonly ips: number | string, readonly endpoints: number | string, readonly users: number | string, readonly shadow: number | string, readonly zombie: number | string, readonly durations: { readonly p50Ms: number, readonly p95Ms: number, readonly p99Ms: number, readonly maxMs: number } | null };

export type WhoseFragment = { readonly id: string, readonly identityId: string, readonly namespace: string, readonly value: string, readonly qualifier: string | null, readonly weak: boolean, readonly secret: boolean };

export type TopFragment = { readonly distinct: number | string, readonly denominator: { readonly name: string, readonly count: number | string }, readonly values: ReadonlyArray<{ readonly value: string, readonly count: number | string, readonly share: number }> };

export type SessionRowFragment = { readonly id: string, readonly sessionId: string, readonly start: string, readonly end: string, readonly durationMs: number | string, readonly closesAt: string, readonly identity: WhoseFragment, readonly statistics: NumbersFragment, readonly users: { readonly values: ReadonlyArray<{ readonly value: string }> }, readonly addresses: { readonly values: ReadonlyArray<{ readonly value: string }> }, readonly roles: { readonly distinct: number | string, readonly values: ReadonlyArray<{ readonly value: string }> }, readonly hosts: { readonly distinct: number | string, readonly values: ReadonlyArray<{ readonly value: string }> }, readonly flows: { readonly distinct: number | string, readonly values: ReadonlyArray<{ readonly value: string }> }, readonly attacks: { readonly distinct: number | string, readonly values: ReadonlyArray<{ readonly value: string, readonly count: number | string }> }, readonly topEndpoints: { readonly values: ReadonlyArray<{ readonly value: string, readonly count: number | string }> } };

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
    ), readonly statistics: NumbersFragment, readonly byEndpoint: TopFragment, readonly byStatus: TopFragment, readonly byAttack: TopFragment, readonly byAddress: TopFragment, readonly byUser: TopFragment, readonly byRole: TopFragment, readonly byAgent: TopFragment, readonly byFlow: TopFragment, readonly byHost: TopFragment } | null };

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
