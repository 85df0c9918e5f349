// The fields of a filter: what may be typed, and what each means in the API.
//
// A session field is about the session. A request field is about one of its requests; within braces
// several of them hold for one and the same request. A number bounds a statistic.
import type { SessionStatistic } from "../api/generated";

/** How the values of a field are written. */
export type Values = "text" | "bool" | "status" | "address" | "method" | "parameter" | "time";

export interface Field {
  readonly name: string;
  readonly values: Values;
  readonly about: string;
}

export const SESSION_FIELDS = [
  { name: "value", values: "text", about: "value of the identity, such as an address or a session id" },
  { name: "namespace", values: "text", about: "namespace of the identity" },
  { name: "identity", values: "text", about: "identity by its 32 hex digits" },
  { name: "session", values: "text", about: "session by <identity>.<start>" },
  { name: "open", values: "bool", about: "true or false: may still take requests" },
  { name: "weak", values: "bool", about: "true or false: told apart by address alone" },
  { name: "malicious", values: "bool", about: "true or false: a request has a detected attack" },
  { name: "blocked", values: "bool", about: "true or false: a request was blocked" },
  { name: "time", values: "time", about: "FROM..UNTIL: the session has an instant in it" },
] as const satisfies readonly Field[];

export const REQUEST_FIELDS = [
  { name: "attack", values: "text", about: "type of a detected attack, such as sqli" },
  { name: "endpoint", values: "text", about: 'method and template, such as "POST /v1/login"' },
  { name: "status", values: "status", about: "404, or a class: 4xx, 5xx, none" },
  { name: "user", values: "text", about: "user a request names" },
  { name: "role", values: "text", about: "role a request names" },
  { name: "ip", values: "address", about: "client address, or a network such as 10.0.0.0/8" },
  { name: "app", values: "text", about: "application" },
  { name: "host", values: "text", about: "host" },
  { name: "method", values: "method", about: "request method" },
  { name: "flow", values: "text", about: "business flow" },
  { name: "agent", values: "text", about: "user agent; agent~curl: a part of it" },
  { name: "param", values: "parameter", about: "context parameter as name=value" },
  { name: "id", values: "text", about: "the request's own id" },
  { name: "malicious", values: "bool", about: "true or false: this request has a detected attack" },
  { name: "blocked", values: "bool", about: "true or false: this request was blocked" },
  { name: "time", values: "time", about: "FROM..UNTIL: when the request started" },
] as const satisfies readonly Field[];

export type SessionField = (typeof SESSION_FIELDS)[number]["name"];
export type RequestField = (typeof REQUEST_FIELDS)[number]["name"];

/** What a statistic is counted in. */
export type Unit = "count" | "ms" | "wholeMs" | "instant" | "bytes";

export interface Statistic {
  readonly name: string;
  readonly by: SessionStatistic;
  readonly unit: Unit;
  readonly about: string;
}

export const STATISTICS: readonly Statistic[] = [
  { name: "requests", by: "REQUESTS", unit: "count", about: "number of requests" },
  { name: "errors", by: "ERRORS", unit: "count", about: "requests with a status of 400 and above" },
  { name: "serverErrors", by: "SERVER_ERRORS", unit: "count", about: "requests with a status of 500 and above" },
  { name: "detections", by: "DETECTIONS", unit: "count", about: "attacks detected" },
  { name: "malicious", by: "MALICIOUS", unit: "count", about: "requests with a detected attack" },
  { name: "blocked", by: "BLOCKED", unit: "count", about: "requests that were blocked" },
  { name: "duration", by: "DURATION_MS", unit: "wholeMs", about: "from the first request to the last, such as 5m" },
  { name: "ips", by: "IPS", unit: "count", about: "distinct client addresses" },
  { name: "endpoints", by: "ENDPOINTS", unit: "count", about: "distinct endpoints" },
  { name: "users", by: "USERS", unit: "count", about: "distinct users" },
  { name: "shadow", by: "SHADOW", unit: "count", about: "requests of undescribed endpoints" },
  { name: "zombie", by: "ZOMBIE", unit: "count", about: "requests of retired endpoints" },
  { name: "requestBytes", by: "REQUEST_BYTES", unit: "bytes", about: "bytes of the requests" },
  { name: "responseBytes", by: "RESPONSE_BYTES", unit: "bytes", about: "bytes of the responses" },
  { name: "start", by: "START", unit: "instant", about: "first request" },
  { name: "end", by: "END", unit: "instant", about: "last request" },
  { name: "latency.p50", by: "DURATION_P50_MS", unit: "ms", about: "median time to the full response" },
  { name: "latency.p95", by: "DURATION_P95_MS", unit: "ms", about: "95th percentile of the time to the full response" },
  { name: "latency.p99", by: "DURATION_P99_MS", unit: "ms", about: "99th percentile of the time to the full response" },
  { name: "latency.max", by: "DURATION_MAX_MS", unit: "ms", about: "longest time to the full response" },
  { name: "latency.sum", by: "DURATION_SUM_MS", unit: "ms", about: "time to the full response, summed" },
];

/** Classes of a status as they are typed. */
export const CLASSES = new Map([
  ["1xx", "INFORMATIONAL"],
  ["2xx", "SUCCESS"],
  ["3xx", "REDIRECTION"],
  ["4xx", "CLIENT_ERROR"],
  ["5xx", "SERVER_ERROR"],
  ["none", "NO_RESPONSE"],
  ["other", "OTHER"],
] as const);

export const findField = <F extends Field>(fields: readonly F[], name: string): F | undefined => {
  const lower = name.toLowerCase();
  return fields.find((field) => field.name.toLowerCase() === lower);
};

export const findStatistic = (name: string): Statistic | undefined => {
  const lower = name.toLowerCase();
  return STATISTICS.find((statistic) => statistic.name.toLowerCase() === lower);
};

export const statisticOf = (by: SessionStatistic): Statistic => {
  const found = STATISTICS.find((statistic) => statistic.by === by);
  if (!found) throw new Error(`no name for the statistic ${by}`);
  return found;
};
