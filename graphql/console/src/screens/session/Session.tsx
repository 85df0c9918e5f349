// One session: what it is, its numbers, its requests as a waterfall, and one of them in full.
import { keepPreviousData, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { ask } from "../../api/client";
import {
  SessionChangesDocument,
  SessionDocument,
  type SessionQuery,
  SessionRequestsDocument,
} from "../../api/generated";
import { subscribe } from "../../api/socket";
import { requestFilter } from "../../filter/api";
import { print } from "../../filter/print";
import { ofSession, type RequestTerm } from "../../filter/tree";
import { count, length, toNumber, useTimes } from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { resolve } from "../../lib/range";
import { plain } from "../../lib/text";
import { controlStore } from "../../live/control";
import { useWatermark, whileSeen } from "../../live/status";
import { Icon } from "../../ui/icons";
import { Empty, Failed, Loading } from "../../ui/states";
import { Text } from "../../ui/Text";
import { useChangeView, useView } from "../../ui/useView";
import { isOpen } from "../sessions/columns";
import "../sessions/grid.css";
import "../sessions/filter.css";
import { Breakdowns } from "./Breakdowns";
import { Minimap } from "./Minimap";
import { RequestPanel } from "./Request";
import { Requests } from "./Requests";
import "./session.css";
import { printTerms, termsOf } from "./terms";

type Found = NonNullable<SessionQuery["session"]>;

export function Session() {
  const { id } = useParams({ strict: false }) as { id: string };
  const query = useQuery({
    queryKey: ["session", id],
    queryFn: ({ signal }) => ask(SessionDocument, { id }, signal),
  });
  if (query.isError && !query.data) {
    return (
      <div className="page">
        <Failed error={query.error} retry={() => void query.refetch()} what="the session" />
      </div>
    );
  }
  if (!query.data) return <Loading what="the session" lines={12} />;
  if (!query.data.session) {
    return (
      <div className="page">
        <Empty title="There is no such session">
          <p>
            No session of this identity contains the instant in the address: retention dropped it, a change of the rules
            grouped its requests otherwise, or the link is of another store.
          </p>
          <Link to="/sessions" className="button">
            All sessions
          </Link>
        </Empty>
      </div>
    );
  }
  return <Shown key={query.data.session.identity.id + id} session={query.data.session} id={id} failed={query.error} />;
}

function Shown({ session, id, failed }: { session: Found; id: string; failed: unknown }) {
  const view = useView();
  const change = useChangeView();
  const queries = useQueryClient();
  const { paused } = useSyncExternalStore(controlStore.subscribe, controlStore.get);
  const terms = useMemo(() => termsOf(view.rq), [view.rq]);
  const zoom = useMemo(() => (view.t === undefined ? null : resolve(view.t, Date.now())), [view.t]);
  const filter = useMemo(() => {
    const all: RequestTerm[] = [...terms];
    if (zoom) all.push({ kind: "term", field: "time", values: [zoom.from ?? "", zoom.until ?? ""] });
    return all.length > 0 ? requestFilter(all) : null;
  }, [terms, zoom]);
  const requests = useInfiniteQuery({
    queryKey: ["requests", id, JSON.stringify(filter)],
    initialPageParam: null as string | null,
    placeholderData: keepPreviousData,
    queryFn: async ({ pageParam, signal }) => {
      const data = await ask(SessionRequestsDocument, { id, filter, after: pageParam }, signal);
      if (!data.session?.requests) throw new Error("the session is no longer there");
      return { ...data.session.requests, all: toNumber(data.session.statistics.requests) };
    },
    getNextPageParam: (last) => (last.pageInfo.hasNextPage ? last.pageInfo.endCursor : undefined),
  });
  const pages = requests.data?.pages;
  const rows = useMemo(() => pages?.flatMap((page) => page.nodes) ?? [], [pages]);
  const total = toNumber(pages?.[0]?.totalCount);
  const known = toNumber(session.statistics.requests);
  const later = pages?.[0] ? known - pages[0].all : 0;

  // While it may change, its numbers follow; its requests wait to be asked for.
  useEffect(() => {
    if (paused) return;
    let stop: (() => void) | undefined;
    const done = whileSeen((seen) => {
      stop?.();
      stop = undefined;
      if (!seen) return;
      let first = true;
      stop = subscribe(
        SessionChangesDocument,
        () => ({ filter: { session: [session.id] }, since: null, snapshot: 1, intervalMs: 2000 }),
        {
          next: ({ sessionChanges: { added, updated, removed } }) => {
            const changed = [...added, ...updated];
            // The snapshot says whether something changed since this page was read.
            const news = changed.some(({ statistics }) => statistics.requests !== session.statistics.requests);
            if (news || (!first && changed.length > 0) || removed.length > 0) {
              void queries.invalidateQueries({ queryKey: ["session", id] });
            }
            first = false;
          },
        },
      );
    });
    return () => {
      done();
      stop?.();
    };
  }, [paused, session.id, id, queries, session.statistics.requests]);

  const from = zoom?.from ? Date.parse(zoom.from) : Date.parse(session.start);
  const until = zoom?.until ? Date.parse(zoom.until) : Date.parse(session.end);
  const show = (requestId: string | undefined) => change({ r: requestId }, view.r !== undefined);
  const close = () => show(undefined);
  const step = (by: 1 | -1) => {
    const next = rows[rows.findIndex(({ requestId }) => requestId === view.r) + by];
    if (next) show(next.requestId);
  };
  useKeys({
    Escape: () => {
      if (view.r !== undefined) close();
      else if (view.t !== undefined) change({ t: undefined });
    },
  });
  const put = (next: readonly RequestTerm[]) => change({ rq: printTerms(next) });

  return (
    <div className={view.r === undefined ? "session" : "session has-panel"}>
      <div className="session-main">
        {failed !== null && failed !== undefined && <Failed error={failed} what="the latest state" />}
        <Head session={session} />
        <Minimap
          rows={rows}
          from={from}
          until={until}
          zoom={(low, high) => change({ t: `${new Date(low).toISOString()}..${new Date(high).toISOString()}` })}
        />
        <div className="row spread">
          <div className="row">
            <h2>Requests</h2>
            <span className="muted num">
              {count(rows.length)} shown{total !== rows.length ? ` of ${count(total)}` : ""}
              {filter ? ` that match, of ${count(known)} in all` : ""}
            </span>
            {later > 0 && (
              <button type="button" className="primary pill" onClick={() => void requests.refetch()}>
                {count(later)} new · show
              </button>
            )}
          </div>
          <div className="row">
            <Toggle
              terms={terms}
              put={put}
              term={{ kind: "term", field: "malicious", values: ["true"] }}
              name="With attacks"
            />
            <Toggle
              terms={terms}
              put={put}
              term={{ kind: "term", field: "status", values: ["4xx", "5xx"] }}
              name="Errors"
            />
            <Toggle
              terms={terms}
              put={put}
              term={{ kind: "term", field: "blocked", values: ["true"] }}
              name="Blocked"
            />
          </div>
        </div>
        {(terms.length > 0 || zoom) && (
          <ul className="chips" aria-label="Conditions">
            {terms.map((term) => {
              const text = printTerms([term]) ?? "";
              return (
                <li key={text} className="chip padded">
                  <span className="mono">
                    <Text of={text} />
                  </span>
                  <button
                    type="button"
                    className="quiet icon"
                    aria-label={`Remove ${plain(text)}`}
                    onClick={() => put(terms.filter((other) => other !== term))}
                  >
                    <Icon name="close" size={14} />
                  </button>
                </li>
              );
            })}
            {zoom && (
              <li className="chip padded">
                <span>part of the time</span>
                <button
                  type="button"
                  className="quiet icon"
                  aria-label="Show all of the time"
                  onClick={() => change({ t: undefined })}
                >
                  <Icon name="close" size={14} />
                </button>
              </li>
            )}
          </ul>
        )}
        {requests.isError && (
          <Failed error={requests.error} retry={() => void requests.refetch()} what="the requests" />
        )}
        {!pages ? (
          <Loading what="the requests" lines={8} />
        ) : rows.length === 0 ? (
          <Empty title="No request matches">
            <button type="button" onClick={() => change({ rq: undefined, t: undefined })}>
              Show all requests
            </button>
          </Empty>
        ) : (
          <Requests
            rows={rows}
            from={from}
            until={until}
            shown={view.r}
            show={show}
            more={requests.hasNextPage ? () => void requests.fetchNextPage() : undefined}
            loadingMore={requests.isFetchingNextPage}
            total={total}
          />
        )}
      </div>
      {view.r === undefined ? (
        <Breakdowns session={session} terms={terms} put={put} />
      ) : (
        <RequestPanel session={id} id={view.r} close={close} step={step} />
      )}
    </div>
  );
}

function Toggle(props: {
  terms: readonly RequestTerm[];
  put: (terms: RequestTerm[]) => void;
  term: RequestTerm;
  name: string;
}) {
  const { terms, put, term, name } = props;
  const text = printTerms([term]);
  const on = terms.some((other) => printTerms([other]) === text);
  return (
    <button
      type="button"
      aria-pressed={on}
      onClick={() =>
        put(
          on
            ? terms.filter((other) => printTerms([other]) !== text)
            : [...terms.filter((other) => other.field !== term.field), term],
        )
      }
    >
      {name}
    </button>
  );
}

function Head({ session }: { session: Found }) {
  const times = useTimes();
  const watermark = useWatermark();
  const { identity, statistics } = session;
  const open = watermark > 0 ? isOpen(session.closesAt, watermark) : session.open;
  const gap = session.gapMs === null ? null : toNumber(session.gapMs);
  const closes = Date.parse(session.closesAt);
  const byDay = gap === null || closes < Date.parse(session.end) + gap;
  const numbers = [
    ["Requests", count(statistics.requests), ""],
    ["Errors", count(statistics.errors), toNumber(statistics.errors) > 0 ? "warn" : ""],
    ["Attacks", count(statistics.detections), toNumber(statistics.detections) > 0 ? "bad" : ""],
    ["Blocked", count(statistics.blocked), ""],
    ["Endpoints", count(statistics.endpoints), ""],
    ["Addresses", count(statistics.ips), ""],
    ["Users", count(statistics.users), ""],
    ["p95", statistics.durations ? length(statistics.durations.p95Ms) : "–", ""],
  ] as const;
  return (
    <>
      <div className="stack tight">
        <div className="row small">
          <Link to="/sessions" search={({ tz }) => (tz === undefined ? {} : { tz })}>
            Sessions
          </Link>
          <span className="muted" aria-hidden="true">
            /
          </span>
          <span className="muted mono cut">{session.sessionId}</span>
        </div>
        <h1 className="mono wrap identity">
          <Text of={identity.value} />
        </h1>
        <div className="row">
          <span className="badge">
            <Text of={identity.namespace} />
          </span>
          {identity.weak && <span className="badge warn">weak: an address, which several people may share</span>}
          {identity.secret && <span className="badge">a keyed hash of the value</span>}
          <span className={open ? "badge good" : "badge"}>{open ? "● open" : "closed"}</span>
          <span className="num">
            {times.full(session.start)} – {times.near(session.end, Date.parse(session.start))} {times.zone} ·{" "}
            {length(toNumber(session.durationMs))}
          </span>
          <Link
            to="/sessions"
            search={({ tz }) => ({
              q: print([ofSession("identity", identity.identityId)]),
              ...(tz === undefined ? {} : { tz }),
            })}
            className="small"
          >
            all sessions of this identity
          </Link>
        </div>
        <p className="muted small">
          {open ? "Closes" : "Closed"} at {times.near(session.closesAt, Date.parse(session.end))}
          {byDay ? ", where the day ends" : `, ${length(gap ?? 0)} after its last request`}.
          {session.continues && (
            <>
              {" "}
              It goes on from{" "}
              <Link to="/sessions/$id" params={{ id: session.continues.sessionId }}>
                the session of the day before
              </Link>
              .
            </>
          )}
        </p>
      </div>
      <dl className="numbers">
        {numbers.map(([name, value, tone]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd className={tone}>{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
