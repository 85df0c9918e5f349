// How the pipeline does: how far event time is complete and which source holds it back, what became
// of the records, memory and disk, processes, and the records that were refused.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { ask } from "../../api/client";
import { DeadLettersDocument, type StateFragment, StatusDocument } from "../../api/generated";
import { bytes, count, length, share, toNumber, useTimes } from "../../lib/format";
import { controlStore } from "../../live/control";
import { useStatus } from "../../live/status";
import { Backfill } from "../../ui/Backfill";
import { Empty, Failed, Loading } from "../../ui/states";
import { Text } from "../../ui/Text";
import "./status.css";

const FATES = [
  ["accepted", "In a session", "good"],
  ["excluded", "Out of scope", "muted"],
  ["unkeyed", "Nothing to group by", "info"],
  ["duplicate", "Known already", "info"],
  ["expired", "For a day already dropped", "warn"],
  ["future", "Too far ahead of the clock", "warn"],
  ["bad", "Refused as bad", "bad"],
] as const;

export function Status() {
  const live = useStatus();
  const { paused } = useSyncExternalStore(controlStore.subscribe, controlStore.get);
  // Before the feed has told anything, and when it cannot.
  const asked = useQuery({
    queryKey: ["status"],
    queryFn: ({ signal }) => ask(StatusDocument, {}, signal),
    enabled: live === null,
  });
  const state = useFrozen(live ?? asked.data?.status ?? null, paused);
  if (!state) {
    return asked.isError ? (
      <div className="page">
        <Failed error={asked.error} retry={() => void asked.refetch()} what="the status" />
      </div>
    ) : (
      <Loading what="the status" lines={12} />
    );
  }
  return (
    <div className="page">
      <div className="row spread">
        <h1>Status</h1>
        <span className="muted small num">as of epoch {count(state.epoch)}</span>
      </div>
      {state.clockJumpMs !== null && (
        <div className="failed" role="alert">
          <div>
            <strong>The clock of the server jumped by {length(Math.abs(toNumber(state.clockJumpMs)))}.</strong> It is
            not believed until a restart; nothing is dropped or refused because of it.
          </div>
        </div>
      )}
      {state.backfill && <Backfill state={state.backfill} />}
      <Numbers state={state} />
      <Sources state={state} />
      <Memory state={state} />
      <Processes state={state} />
      <DeadLetters />
    </div>
  );
}

let frozen: StateFragment | null = null;
/** While paused, the numbers stay. */
function useFrozen(state: StateFragment | null, paused: boolean): StateFragment | null {
  if (!paused || frozen === null) frozen = state;
  return frozen;
}

function Numbers({ state }: { state: StateFragment }) {
  const times = useTimes();
  const lag = state.lagMs === null ? null : Math.max(0, toNumber(state.lagMs));
  const tiles = [
    ["Complete until", state.watermark ? times.near(state.watermark) : "–", `event time, ${times.zone}: the watermark`],
    ["Lag", lag === null ? "–" : length(lag), "clock less watermark"],
    ["Sessions", count(state.sessions), `${count(state.openSessions)} open`],
    ["Requests", count(state.requests), "kept, also those in no session"],
    ["Rules", `version ${count(state.rulesVersion)}`, "in force"],
    ["Workers", count(state.workers), "of the dataflow"],
  ] as const;
  return (
    <dl className="tiles">
      {tiles.map(([name, value, note]) => (
        <div key={name} className="card">
          <dt>{name}</dt>
          <dd>
            <span className="tile-value">{value}</span>
            <span className="muted small">{note}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Sources({ state }: { state: StateFragment }) {
  const times = useTimes();
  const mark = (watermark: string | null) => (watermark === null ? Number.POSITIVE_INFINITY : Date.parse(watermark));
  const sources = state.sources.toSorted((one, other) => mark(one.watermark) - mark(other.watermark));
  const awake = sources.filter(({ idle, watermark }) => !idle && watermark !== null);
  const holding = awake.length > 1 ? awake[0]?.source : undefined;
  if (sources.length === 0) {
    return (
      <section className="card">
        <h2>Sources</h2>
        <p className="muted">Nothing is read or was pushed yet.</p>
      </section>
    );
  }
  return (
    <section className="card">
      <h2>Sources</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard */}
      <div className="scroll-x" role="region" tabIndex={0} aria-label="Sources">
        <table>
          <thead>
            <tr>
              <th scope="col">Source</th>
              <th scope="col">State</th>
              <th scope="col">Watermark</th>
              <th scope="col" className="num">
                Read
              </th>
              <th scope="col">What became of the records</th>
            </tr>
          </thead>
          <tbody>
            {sources.map((source) => (
              <tr key={source.source}>
                <td>
                  <strong>
                    <Text of={source.source} />
                  </strong>
                  <div className="muted small num">offset {count(source.offset)}</div>
                </td>
                <td>
                  {source.error ? (
                    <span className="badge bad">cannot be read</span>
                  ) : source.idle ? (
                    <span className="badge">silent</span>
                  ) : source.source === holding ? (
                    <span className="badge warn">holds the watermark</span>
                  ) : (
                    <span className="badge good">live</span>
                  )}
                  {source.error && (
                    <div className="small wrap">
                      <Text of={source.error} />
                    </div>
                  )}
                  {source.missing && (
                    <div className="small wrap">
                      missing: <Text of={source.missing} />
                    </div>
                  )}
                </td>
                <td className="num start">{source.watermark ? times.near(source.watermark) : "–"}</td>
                <td className="num">{count(source.counts.read)}</td>
                <td>
                  <Fates counts={source.counts} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Fates({ counts }: { counts: StateFragment["sources"][number]["counts"] }) {
  const read = Math.max(1, toNumber(counts.read));
  return (
    <div className="fates">
      <div className="fate-bar" aria-hidden="true">
        {FATES.map(([name, , tone]) => {
          const part = toNumber(counts[name]) / read;
          return part > 0 ? <span key={name} className={`tone-${tone}`} style={{ width: `${part * 100}%` }} /> : null;
        })}
      </div>
      <ul>
        {FATES.filter(([name]) => toNumber(counts[name]) > 0).map(([name, words, tone]) => (
          <li key={name} className="small">
            <i className={`tone-${tone}`} aria-hidden="true" /> {words}{" "}
            <span className="num">{count(counts[name])}</span>{" "}
            <span className="muted num">{share(toNumber(counts[name]) / read)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Memory({ state }: { state: StateFragment }) {
  const { hotBytes, hotBudgetBytes, residentBytes, storeBytes } = state.memory;
  return (
    <section className="card stack">
      <h2>Memory and disk</h2>
      <div>
        <div className="row spread">
          <span>Session state in memory</span>
          <span className="num">
            {bytes(hotBytes)} of {bytes(hotBudgetBytes)}
          </span>
        </div>
        <meter
          min={0}
          max={Math.max(1, toNumber(hotBudgetBytes))}
          high={toNumber(hotBudgetBytes) * 0.9}
          value={toNumber(hotBytes)}
          aria-label="Session state in memory, of its budget"
        />
      </div>
      <dl className="facts">
        <dt>Resident, all processes</dt>
        <dd className="num">{bytes(residentBytes)}</dd>
        <dt>Store on disk</dt>
        <dd className="num">{bytes(storeBytes)}</dd>
      </dl>
    </section>
  );
}

function Processes({ state }: { state: StateFragment }) {
  return (
    <section className="card">
      <h2>Processes</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard */}
      <div className="scroll-x" role="region" tabIndex={0} aria-label="Processes">
        <table>
          <thead>
            <tr>
              {["Process", "Epoch", "Sessions", "Requests", "State", "Resident", "Store", "Workers"].map((name) => (
                <th key={name} scope="col" className="num">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {state.processes.map((process) => (
              <tr key={String(process.process)}>
                <td className="num">{count(process.process)}</td>
                <td className="num">{count(process.epoch)}</td>
                <td className="num">{count(process.sessions)}</td>
                <td className="num">{count(process.requests)}</td>
                <td className="num">{bytes(process.hotBytes)}</td>
                <td className="num">{bytes(process.residentBytes)}</td>
                <td className="num">{bytes(process.storeBytes)}</td>
                <td className="num">{count(process.workers)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function DeadLetters() {
  const query = useInfiniteQuery({
    queryKey: ["dead-letters"],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const data = await ask(DeadLettersDocument, { after: pageParam }, signal);
      if (!data.deadLetters) throw new Error("an answer without records");
      return data.deadLetters;
    },
    getNextPageParam: (last) => (last.pageInfo.hasNextPage ? last.pageInfo.endCursor : undefined),
    staleTime: 0,
  });
  const rows = query.data?.pages.flatMap((page) => page.nodes) ?? [];
  const total = query.data?.pages[0]?.totalCount;
  return (
    <section className="card stack">
      <div className="row spread">
        <h2>Refused records{total !== undefined && toNumber(total) > 0 ? `, ${count(total)}` : ""}</h2>
        <button type="button" onClick={() => void query.refetch()} disabled={query.isFetching}>
          Read again
        </button>
      </div>
      {query.isError && <Failed error={query.error} retry={() => void query.refetch()} what="the refused records" />}
      {query.isPending && !query.isError && <Loading what="the refused records" lines={3} />}
      {query.data && rows.length === 0 && (
        <Empty title="No record was refused">
          <p>A record that is no request, or lacks what a request needs, is kept here with the reason.</p>
        </Empty>
      )}
      {rows.map((row) => (
        <article key={`${row.process} ${row.sequence}`} className="letter stack">
          <div className="row">
            <span className="badge bad mono">
              <Text of={row.code} />
            </span>
            <span className="wrap">
              <Text of={row.reason} />
            </span>
            <span className="muted small num">
              <Text of={row.source} />, offset {count(row.offset)}, epoch {count(row.epoch)}
            </span>
          </div>
          <pre className="wrap">
            <Text of={row.raw} lines />
          </pre>
        </article>
      ))}
      {query.hasNextPage && (
        <button type="button" onClick={() => void query.fetchNextPage()} disabled={query.isFetchingNextPage}>
          Load more
        </button>
      )}
    </section>
  );
}
