// The columns of the list of sessions: what a cell shows, by what the list can be ordered, and what
// an export has.
import type { ReactNode } from "react";
import type { SessionRowFragment, SessionStatistic } from "../../api/generated";
import { numberCell, textCell } from "../../lib/csv";
import { bytes, count, length, share, type Times, toNumber } from "../../lib/format";
import { Text } from "../../ui/Text";

export type SessionRow = SessionRowFragment;

export interface Context {
  readonly times: Times;
  /** How far event time is complete, in milliseconds; 0 when that is not known. */
  readonly watermark: number;
}

export interface SessionColumn {
  readonly id: string;
  readonly name: string;
  /** As a column of the grid. */
  readonly width: string;
  readonly number?: true;
  readonly by?: SessionStatistic;
  /** Shown unless other columns are chosen. */
  readonly usual?: true;
  readonly cell: (row: SessionRow, context: Context) => ReactNode;
}

/** The values of a breakdown; none when it could not be read. */
export const valuesOf = <V,>(top: { readonly values: readonly V[] } | null): readonly V[] => top?.values ?? [];
const distinctOf = (top: { readonly distinct: number | string } | null) => top?.distinct ?? 0;

/** Whether a session may still take requests: told by the watermark, since closing is not sent. */
export const isOpen = (closesAt: string, watermark: number): boolean => Date.parse(closesAt) > watermark;

const more = (distinct: number | string, shown: number) => {
  const rest = toNumber(distinct) - shown;
  return rest > 0 ? <span className="muted small"> +{count(rest)}</span> : null;
};

const Two = ({ first, second }: { first: ReactNode; second: ReactNode }) => (
  <>
    <div className="cut">{first}</div>
    <div className="cut muted small">{second}</div>
  </>
);

const numeric = (pick: (row: SessionRow) => number | string) => (row: SessionRow) => {
  const value = pick(row);
  return toNumber(value) === 0 ? <span className="muted">0</span> : count(value);
};

export const COLUMNS: readonly SessionColumn[] = [
  {
    id: "start",
    name: "Start",
    width: "minmax(150px, 0.8fr)",
    by: "START",
    usual: true,
    cell: (row, { times, watermark }) => (
      <Two
        first={<time dateTime={row.start}>{times.near(row.start)}</time>}
        second={
          <>
            {isOpen(row.closesAt, watermark) && <span className="open">● open · </span>}
            {length(toNumber(row.durationMs))}
          </>
        }
      />
    ),
  },
  {
    id: "identity",
    name: "Identity",
    width: "minmax(160px, 2fr)",
    usual: true,
    cell: (row) => (
      <Two
        first={
          <span className="mono">
            <Text of={row.identity.value} />
          </span>
        }
        second={
          <>
            <Text of={row.identity.namespace} />
            {row.identity.weak && " · weak"}
            {row.identity.secret && " · hashed"}
          </>
        }
      />
    ),
  },
  {
    id: "user",
    name: "User",
    width: "minmax(90px, 0.9fr)",
    by: "USERS",
    usual: true,
    cell: (row) => {
      const user = valuesOf(row.users)[0]?.value;
      const role = valuesOf(row.roles)[0]?.value;
      if (user === undefined) return <span className="muted">–</span>;
      return (
        <Two
          first={
            <>
              <Text of={user} />
              {more(row.statistics.users, 1)}
            </>
          }
          second={role === undefined ? "" : <Text of={role} />}
        />
      );
    },
  },
  {
    id: "requests",
    name: "Requests",
    width: "86px",
    number: true,
    by: "REQUESTS",
    usual: true,
    cell: numeric((row) => row.statistics.requests),
  },
  {
    id: "errors",
    name: "Errors",
    width: "76px",
    number: true,
    by: "ERRORS",
    usual: true,
    cell: (row) => {
      const errors = toNumber(row.statistics.errors);
      if (errors === 0) return <span className="muted">0</span>;
      const part = errors / Math.max(1, toNumber(row.statistics.requests));
      return <Two first={<span className={part >= 0.5 ? "mostly" : ""}>{count(errors)}</span>} second={share(part)} />;
    },
  },
  {
    id: "detections",
    name: "Attacks",
    width: "minmax(230px, 1.2fr)",
    by: "DETECTIONS",
    usual: true,
    cell: (row) => {
      const detections = toNumber(row.statistics.detections);
      if (detections === 0) return <span className="muted">–</span>;
      const blocked = toNumber(row.statistics.blocked);
      return (
        <Two
          first={
            <span className="kinds">
              {valuesOf(row.attacks)
                .slice(0, 2)
                .map(({ value }) => (
                  <span key={value} className="badge bad">
                    <Text of={value} />
                  </span>
                ))}
              {more(distinctOf(row.attacks), Math.min(2, valuesOf(row.attacks).length))}
            </span>
          }
          second={`${count(detections)} in ${count(row.statistics.malicious)} ${toNumber(row.statistics.malicious) === 1 ? "request" : "requests"}${blocked > 0 ? `, ${count(blocked)} blocked` : ""}`}
        />
      );
    },
  },
  {
    id: "endpoint",
    name: "Top endpoint",
    width: "minmax(150px, 1.5fr)",
    by: "ENDPOINTS",
    usual: true,
    cell: (row) => {
      const top = valuesOf(row.topEndpoints)[0];
      if (!top) return <span className="muted">–</span>;
      const distinct = toNumber(row.statistics.endpoints);
      return (
        <Two
          first={
            <span className="mono">
              <Text of={top.value} />
            </span>
          }
          second={`×${count(top.count)}${distinct > 1 ? ` · ${count(distinct)} endpoints` : ""}`}
        />
      );
    },
  },
  {
    id: "addresses",
    name: "Addresses",
    width: "minmax(120px, 1fr)",
    by: "IPS",
    cell: (row) => {
      const address = valuesOf(row.addresses)[0]?.value;
      if (address === undefined) return <span className="muted">–</span>;
      return (
        <span className="mono cut">
          <Text of={address} />
          {more(row.statistics.ips, 1)}
        </span>
      );
    },
  },
  {
    id: "hosts",
    name: "Hosts",
    width: "minmax(120px, 1fr)",
    cell: (row) => {
      const host = valuesOf(row.hosts)[0]?.value;
      if (host === undefined) return <span className="muted">–</span>;
      return (
        <span className="cut">
          <Text of={host} />
          {more(distinctOf(row.hosts), 1)}
        </span>
      );
    },
  },
  {
    id: "flows",
    name: "Flows",
    width: "minmax(100px, 1fr)",
    cell: (row) => (
      <span className="kinds">
        {valuesOf(row.flows).map(({ value }) => (
          <span key={value} className="badge info">
            <Text of={value} />
          </span>
        ))}
      </span>
    ),
  },
  {
    id: "p95",
    name: "p95",
    width: "84px",
    number: true,
    by: "DURATION_P95_MS",
    cell: (row) =>
      row.statistics.durations ? length(row.statistics.durations.p95Ms) : <span className="muted">–</span>,
  },
  {
    id: "bytes",
    name: "Sent",
    width: "84px",
    number: true,
    by: "RESPONSE_BYTES",
    cell: (row) => bytes(row.statistics.responseBytes),
  },
  {
    id: "shadow",
    name: "Shadow",
    width: "80px",
    number: true,
    by: "SHADOW",
    cell: numeric((row) => row.statistics.shadow),
  },
];

export const USUAL = COLUMNS.filter((column) => column.usual).map((column) => column.id);

/** The columns that an address names, or the usual ones. */
export function chosen(cols: string | undefined): readonly SessionColumn[] {
  const ids = cols?.split(",") ?? USUAL;
  const found = COLUMNS.filter((column) => ids.includes(column.id));
  return found.length > 0 ? found : COLUMNS.filter((column) => column.usual);
}

/** An order as it stands in an address: `-detections`. */
export function orderOf(sort: string | undefined): { column: SessionColumn; descending: boolean } {
  const text = sort ?? "-start";
  const descending = text.startsWith("-");
  const column = COLUMNS.find((one) => one.by && one.id === text.replace(/^-/, ""));
  const [first] = COLUMNS;
  if (!first) throw new Error("there are columns");
  return column ? { column, descending } : { column: first, descending: true };
}

/** What an export has of each session. */
export const EXPORTED = [
  { name: "session", cell: (row: SessionRow) => textCell(row.sessionId) },
  { name: "start", cell: (row: SessionRow) => textCell(row.start) },
  { name: "end", cell: (row: SessionRow) => textCell(row.end) },
  { name: "duration_ms", cell: (row: SessionRow) => numberCell(row.durationMs) },
  { name: "namespace", cell: (row: SessionRow) => textCell(row.identity.namespace) },
  { name: "identity", cell: (row: SessionRow) => textCell(row.identity.value) },
  { name: "weak", cell: (row: SessionRow) => String(row.identity.weak) },
  { name: "user", cell: (row: SessionRow) => textCell(valuesOf(row.users)[0]?.value ?? "") },
  { name: "role", cell: (row: SessionRow) => textCell(valuesOf(row.roles)[0]?.value ?? "") },
  { name: "address", cell: (row: SessionRow) => textCell(valuesOf(row.addresses)[0]?.value ?? "") },
  { name: "addresses", cell: (row: SessionRow) => numberCell(row.statistics.ips) },
  { name: "requests", cell: (row: SessionRow) => numberCell(row.statistics.requests) },
  { name: "errors", cell: (row: SessionRow) => numberCell(row.statistics.errors) },
  { name: "detections", cell: (row: SessionRow) => numberCell(row.statistics.detections) },
  { name: "blocked", cell: (row: SessionRow) => numberCell(row.statistics.blocked) },
  {
    name: "attacks",
    cell: (row: SessionRow) =>
      textCell(
        valuesOf(row.attacks)
          .map(({ value }) => value)
          .join(" "),
      ),
  },
  { name: "top_endpoint", cell: (row: SessionRow) => textCell(valuesOf(row.topEndpoints)[0]?.value ?? "") },
  { name: "endpoints", cell: (row: SessionRow) => numberCell(row.statistics.endpoints) },
  { name: "p95_ms", cell: (row: SessionRow) => numberCell(row.statistics.durations?.p95Ms) },
] as const;
