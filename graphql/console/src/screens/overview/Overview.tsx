// What happens: sums of a range and of the one before it, how they run over time, by application, and
// the sessions one would look at first.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useSyncExternalStore } from "react";
import { ask } from "../../api/client";
import { OverviewDocument, SessionsDocument, type SumsFragment, TotalsDocument } from "../../api/generated";
import { print } from "../../filter/print";
import { ofRequest } from "../../filter/tree";
import { bytes, count, length, share, toNumber, useTimes } from "../../lib/format";
import { previous, resolve } from "../../lib/range";
import { plain } from "../../lib/text";
import { controlStore } from "../../live/control";
import { Chart } from "../../ui/Chart";
import { RangeSelect } from "../../ui/RangeSelect";
import { Empty, Failed, Loading } from "../../ui/states";
import { Text } from "../../ui/Text";
import { useChangeView, useView } from "../../ui/useView";
import "./overview.css";

/** How often what is shown is read again, while it is live. */
const EVERY = 5000;

export function Overview() {
  const view = useView();
  const change = useChangeView();
  const times = useTimes();
  const range = view.t ?? "all";
  const { paused } = useSyncExternalStore(controlStore.subscribe, controlStore.get);
  const live = !paused && (range === "all" || range.endsWith("now"));
  const span = resolve(range, Date.now());
  const query = useQuery({
    queryKey: ["overview", range],
    enabled: span !== null,
    refetchInterval: live ? EVERY : false,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const now = Date.now();
      const asked = resolve(range, now) ?? {};
      const before = previous(asked, now);
      const [here, there] = await Promise.all([
        ask(OverviewDocument, { range: asked }, signal),
        before ? ask(TotalsDocument, { range: before }, signal) : null,
      ]);
      return { overview: here.overview, before: there?.overview?.totals };
    },
  });
  const first = useQuery({
    queryKey: ["overview-first", range],
    enabled: span !== null,
    refetchInterval: live ? EVERY * 2 : false,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const time = resolve(range, Date.now()) ?? {};
      const filter = time.from || time.until ? { and: [{ malicious: true }, { time }] } : { malicious: true };
      const data = await ask(
        SessionsDocument,
        { filter, orderBy: { by: "DETECTIONS", direction: "DESC" }, first: 6, after: null },
        signal,
      );
      return data.sessions?.nodes ?? [];
    },
  });
  const overview = query.data?.overview;
  const series = overview?.series;
  const at = useMemo(() => series?.map((point) => Date.parse(point.at)) ?? [], [series]);
  const values = useMemo(() => {
    const of = (pick: (totals: SumsFragment) => number | string) =>
      series?.map(({ totals }) => toNumber(pick(totals))) ?? [];
    return {
      traffic: [
        { name: "requests", color: "--accent", values: of((totals) => totals.requests) },
        { name: "errors", color: "--warn-fill", values: of((totals) => totals.errors) },
      ],
      attacks: [
        { name: "detected", color: "--bad-fill", values: of((totals) => totals.detections) },
        { name: "requests blocked", color: "--info-fill", values: of((totals) => totals.blocked) },
      ],
    };
  }, [series]);
  const step = toNumber(overview?.stepMinutes ?? 1) * 60_000;
  const choose = (from: number, until: number) => {
    if (until > from) change({ t: `${new Date(from).toISOString()}..${new Date(until).toISOString()}` });
  };
  const most = Math.max(1, ...(overview?.apps?.nodes.map(({ totals }) => toNumber(totals.requests)) ?? []));
  const keep = ({ tz, t }: { tz?: string; t?: string }) => ({
    ...(tz === undefined ? {} : { tz }),
    ...(t === undefined ? {} : { t }),
  });

  return (
    <div className="page">
      <div className="row spread">
        <h1>Overview</h1>
        <div className="row">
          {overview && <span className="muted small num">as of epoch {count(overview.epoch)}</span>}
          {range !== "all" && (
            <button type="button" onClick={() => change({ t: undefined })}>
              All that is kept
            </button>
          )}
          <RangeSelect range={range} change={(t) => change({ t: t === "all" ? undefined : t })} />
        </div>
      </div>
      {span === null && <Failed error={new Error(`"${range}" is no range of time`)} what="this range" />}
      {query.isError && <Failed error={query.error} retry={() => void query.refetch()} what="the overview" />}
      {!overview ? (
        !query.isError && span !== null && <Loading what="the overview" lines={12} />
      ) : toNumber(overview.totals.requests) === 0 ? (
        <Empty title={range === "all" ? "Nothing has been taken in yet" : "Nothing happened in this range"}>
          {range === "all" ? (
            <p>Push requests to /v1/requests, or have a log followed: see the status for what the sources do.</p>
          ) : (
            <button type="button" onClick={() => change({ t: undefined })}>
              Look at all that is kept
            </button>
          )}
        </Empty>
      ) : (
        <>
          <Numbers now={overview.totals} before={query.data?.before} />
          <div className="charts">
            <Chart title="Traffic" at={at} step={step} lines={values.traffic} choose={choose} />
            <Chart title="Attacks" at={at} step={step} lines={values.attacks} choose={choose} />
          </div>
          <p className="muted small">
            One point is {length(step)}. {overview.from ? `From ${times.full(overview.from)}` : "From the begin"}{" "}
            {overview.until ? `until ${times.full(overview.until)}` : "until now"} {times.zone}. Drag over a chart to
            look closer.
          </p>
          <div className="two">
            <section className="card">
              <h2>Applications</h2>
              <div className="scroll-x">
                <table className="apps">
                  <thead>
                    <tr>
                      <th scope="col">Application</th>
                      <th scope="col" className="num">
                        Requests
                      </th>
                      <th scope="col" className="num">
                        Errors
                      </th>
                      <th scope="col" className="num">
                        Attacks
                      </th>
                      <th scope="col" className="num">
                        Sessions
                      </th>
                      <th scope="col" className="num">
                        Mean
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {overview.apps?.nodes.map(({ app, totals }) => (
                      <tr key={app}>
                        <td>
                          <Link to="/sessions" search={(now) => ({ ...keep(now), q: print([ofRequest("app", app)]) })}>
                            <Text of={app} />
                          </Link>
                          <span className="app-bar" style={{ width: `${(toNumber(totals.requests) / most) * 100}%` }} />
                        </td>
                        <td className="num">{count(totals.requests)}</td>
                        <td className="num">
                          {share(toNumber(totals.errors) / Math.max(1, toNumber(totals.requests)))}
                        </td>
                        <td className={toNumber(totals.detections) > 0 ? "num bad" : "num muted"}>
                          {count(totals.detections)}
                        </td>
                        <td className="num">{count(totals.sessions)}</td>
                        <td className="num">{length(totals.durationSumMs / Math.max(1, toNumber(totals.requests)))}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </section>
            <section className="card">
              <div className="row spread">
                <h2>Sessions with the most attacks</h2>
                <Link
                  to="/sessions"
                  search={(now) => ({ ...keep(now), q: "malicious:true", sort: "-detections" })}
                  className="small"
                >
                  all of them
                </Link>
              </div>
              {first.data?.length === 0 && <p className="muted">No attack was detected.</p>}
              <ul className="first">
                {first.data?.map((row) => (
                  <li key={row.id}>
                    <Link
                      to="/sessions/$id"
                      params={{ id: row.sessionId }}
                      search={({ tz }) => (tz === undefined ? {} : { tz })}
                      className="cut mono"
                      title={plain(row.identity.value)}
                    >
                      <Text of={row.identity.value} />
                    </Link>
                    <span className="kinds">
                      {row.attacks?.values.slice(0, 2).map(({ value }) => (
                        <span key={value} className="badge bad">
                          <Text of={value} />
                        </span>
                      ))}
                    </span>
                    <span className="num small">
                      {count(row.statistics.detections)} in {count(row.statistics.requests)} requests
                    </span>
                  </li>
                ))}
              </ul>
            </section>
          </div>
        </>
      )}
    </div>
  );
}

function Numbers({ now, before }: { now: SumsFragment; before: SumsFragment | undefined }) {
  const rate = (part: number | string, all: number | string) => toNumber(part) / Math.max(1, toNumber(all));
  const tiles = [
    {
      name: "Requests",
      value: count(now.requests),
      note: `${bytes(now.responseBytes)} sent`,
      pick: (sums: SumsFragment) => toNumber(sums.requests),
    },
    {
      name: "Sessions",
      value: count(now.sessions),
      note: `${share(rate(now.weakSessions, now.sessions))} by address alone`,
      pick: (sums: SumsFragment) => toNumber(sums.sessions),
    },
    {
      name: "Errors",
      value: share(rate(now.errors, now.requests)),
      note: `${count(now.serverErrors)} by the server`,
      tone: "warn",
      pick: (sums: SumsFragment) => rate(sums.errors, sums.requests),
    },
    {
      name: "Attacks",
      value: count(now.detections),
      note: `${count(now.blocked)} requests blocked`,
      tone: "bad",
      pick: (sums: SumsFragment) => toNumber(sums.detections),
    },
    {
      name: "Sessions with attacks",
      value: count(now.maliciousSessions),
      note: `${share(rate(now.maliciousSessions, now.sessions))} of all`,
      tone: "bad",
      pick: (sums: SumsFragment) => toNumber(sums.maliciousSessions),
    },
    {
      name: "Mean time",
      value: length(now.durationSumMs / Math.max(1, toNumber(now.requests))),
      note: "to the full response",
      pick: (sums: SumsFragment) => sums.durationSumMs / Math.max(1, toNumber(sums.requests)),
    },
  ] as const;
  return (
    <dl className="tiles">
      {tiles.map((tile) => {
        const old = before === undefined ? 0 : tile.pick(before);
        const changed = old > 0 ? tile.pick(now) / old - 1 : null;
        return (
          <div key={tile.name} className="card">
            <dt>{tile.name}</dt>
            <dd>
              <span className={`tile-value ${"tone" in tile ? tile.tone : ""}`}>{tile.value}</span>
              <span className="muted small">{tile.note}</span>
              {changed !== null && (
                <span className="small num">
                  {changed >= 0 ? "▲" : "▼"} {share(Math.abs(changed))} against the range before
                </span>
              )}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}
