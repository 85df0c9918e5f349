// The list of sessions: filter, range, order and columns are in the address; what changes, changes in
// place, and new matches wait for the reader.

import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { ask } from "../../api/client";
import { SessionCountDocument } from "../../api/generated";
import { parse } from "../../filter/parse";
import { print } from "../../filter/print";
import { bads, negate, ofSession } from "../../filter/tree";
import { count, useTimes } from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { frozen, isRolling, resolve } from "../../lib/range";
import { useWatermark } from "../../live/status";
import { announce } from "../../ui/announce";
import { RangeSelect } from "../../ui/RangeSelect";
import { Empty, Failed, Loading } from "../../ui/states";
import { useChangeView, useView } from "../../ui/useView";
import { COLUMNS, chosen, orderOf, USUAL, valuesOf } from "./columns";
import { Export } from "./Export";
import { FilterBar } from "./FilterBar";
import { Grid } from "./Grid";
import "./sessions.css";
import { useSessions } from "./useSessions";

/** Where each list was left, to come back to. */
const places = new Map<string, { top: number; key: string | undefined }>();

function placeOf(key: string): { top: number; key: string | undefined } {
  let place = places.get(key);
  if (!place) {
    place = { top: 0, key: undefined };
    places.set(key, place);
    if (places.size > 50) places.delete(places.keys().next().value ?? "");
  }
  return place;
}

export function Sessions() {
  const view = useView();
  const change = useChangeView();
  const times = useTimes();
  const watermark = useWatermark();
  const text = view.q ?? "";
  const range = view.t ?? "all";
  const filter = useMemo(() => parse(text), [text]);
  const wrong = bads(filter);
  const span = resolve(range, Date.now());
  const valid = wrong.length === 0 && span !== null;
  const { set, query, reload, first, busy } = useSessions({ text, filter, range, sort: view.sort, valid });
  const order = useSyncExternalStore(set.subscribe, set.order);
  const waiting = useSyncExternalStore(set.subscribe, set.waiting);
  const columns = chosen(view.cols);
  const context = useMemo(() => ({ times, watermark }), [times, watermark]);
  const [exporting, setExporting] = useState(false);
  const top = useRef<HTMLDivElement>(null);
  const place = placeOf(`${text} ${range} ${view.sort ?? ""}`);

  const known = useMemo(() => {
    const all = new Map<string, Set<string>>();
    const add = (field: string, values: readonly { readonly value: string }[]) => {
      for (const { value } of values) all.set(field, (all.get(field) ?? new Set()).add(value));
    };
    for (const key of order) {
      const row = set.entry(key)?.row;
      if (!row) continue;
      add("attack", valuesOf(row.attacks));
      add("endpoint", valuesOf(row.topEndpoints));
      add("user", valuesOf(row.users));
      add("role", valuesOf(row.roles));
      add("host", valuesOf(row.hosts));
      add("flow", valuesOf(row.flows));
      add("ip", valuesOf(row.addresses));
      add("namespace", [{ value: row.identity.namespace }]);
    }
    return all;
  }, [order, set]);

  const showNew = useCallback(async () => {
    await reload();
    place.top = 0;
    top.current?.querySelector('[role="grid"]')?.scrollTo({ top: 0 });
  }, [reload, place]);
  useKeys({ n: () => void showNew() });

  const about = `${text === "" ? "no filter" : print(filter)}; time ${range}`;
  return (
    <div className="sessions" ref={top}>
      <div className="row spread">
        <h1>Sessions</h1>
        <div className="row">
          <RangeSelect range={range} change={(t) => change({ t: t === "all" ? undefined : t })} />
          <Columns view={view.cols} change={(cols) => change({ cols }, true)} />
          <CopyLink range={range} />
          <button type="button" disabled={!valid || !first} onClick={() => setExporting(true)}>
            Export
          </button>
        </div>
      </div>
      <FilterBar
        filter={filter}
        change={(q) => change({ q })}
        label="Filter of sessions"
        placeholder='attack:sqli -user:alice requests>50 {endpoint:"POST /v1/login" status:401}'
        known={known}
      />
      {span === null && <Failed error={new Error(`"${range}" is no range of time`)} what="this range" />}
      {query.isError && <Failed error={query.error} retry={() => void query.refetch()} what="the sessions" />}
      <div className="row spread under">
        <Count asked={first?.asked} shown={order.length} valid={valid} />
        {wrong.length > 0 && order.length > 0 && <span className="badge bad">The rows are of the filter before</span>}
        {busy && (
          <button
            type="button"
            className="pill"
            onClick={() => void showNew()}
            title="So much changes that only the rows that are shown are followed"
          >
            Very busy: new sessions are not counted · refresh
          </button>
        )}
        {waiting > 0 && !busy && (
          <button type="button" className="primary pill" onClick={() => void showNew()}>
            {count(waiting)} new {waiting === 1 ? "session" : "sessions"} · show
          </button>
        )}
      </div>
      {first === undefined && order.length === 0 ? (
        valid && !query.isError && <Loading what="sessions" lines={10} />
      ) : order.length === 0 ? (
        <None text={text} range={range} change={change} />
      ) : (
        <Grid
          key={`${text} ${range} ${view.sort ?? ""}`}
          set={set}
          columns={columns}
          context={context}
          sort={orderOf(view.sort)}
          pivot={(row, exclude) => {
            const node = ofSession("value", row.identity.value);
            change({ q: print([...filter, exclude ? negate(node) : node]) });
          }}
          changeSort={(sort) => change({ sort: sort === "-start" ? undefined : sort })}
          busy={query.isFetching && query.isPlaceholderData}
          more={query.hasNextPage ? () => void query.fetchNextPage() : undefined}
          loadingMore={query.isFetchingNextPage}
          place={place}
          total={query.hasNextPage ? undefined : order.length + 1}
        />
      )}
      {exporting && first && (
        <Export asked={first.asked} sort={view.sort} about={about} close={() => setExporting(false)} />
      )}
    </div>
  );
}

/** How many there are in all is asked for only when somebody wants to know. */
function Count({ asked, shown, valid }: { asked: unknown; shown: number; valid: boolean }) {
  const key = JSON.stringify(asked ?? {});
  const [wanted, setWanted] = useState<string>();
  const total = useQuery({
    queryKey: ["count", key],
    enabled: wanted === key && valid,
    gcTime: 0,
    queryFn: ({ signal }) => ask(SessionCountDocument, { filter: asked as never }, signal),
  });
  const found = wanted === key ? total.data?.sessions : undefined;
  return (
    <span className="muted">
      {count(shown)} shown
      {found?.totalCount !== undefined && found.totalCount !== null ? (
        <>
          {" "}
          of {count(found.totalCount)} at epoch {count(found.epoch)}
        </>
      ) : (
        <>
          {" · "}
          <button type="button" className="quiet" onClick={() => setWanted(key)} disabled={total.isFetching}>
            {total.isFetching ? "Counting …" : "Count all"}
          </button>
        </>
      )}
    </span>
  );
}

function None({ text, range, change }: { text: string; range: string; change: ReturnType<typeof useChangeView> }) {
  if (text === "" && range === "all") {
    return (
      <Empty title="No sessions yet">
        <p>Nothing has been taken in. Push requests to /v1/requests, or have a log followed.</p>
      </Empty>
    );
  }
  return (
    <Empty title="No session matches">
      {range !== "all" && (
        <>
          <p>The range of time leaves out what lies outside it.</p>
          <button type="button" onClick={() => change({ t: undefined })}>
            Look in all that is kept
          </button>
        </>
      )}
      {text !== "" && (
        <>
          <p>The filter is {range === "all" ? "" : "also "}in force: take one of its conditions out, or all of them.</p>
          <button type="button" onClick={() => change({ q: undefined })}>
            Clear the filter
          </button>
        </>
      )}
    </Empty>
  );
}

function Columns({ view, change }: { view: string | undefined; change: (cols: string | undefined) => void }) {
  const shown = chosen(view).map(({ id }) => id);
  return (
    <div>
      <button type="button" popoverTarget="columns" aria-haspopup="dialog">
        Columns
      </button>
      <div id="columns" popover="auto" role="dialog" aria-label="Columns" className="columns-choice">
        {COLUMNS.map(({ id, name }) => (
          <label key={id} className="check">
            <input
              type="checkbox"
              checked={shown.includes(id)}
              disabled={shown.length === 1 && shown.includes(id)}
              onChange={(event) => {
                const next = COLUMNS.map((column) => column.id).filter((one) =>
                  one === id ? event.target.checked : shown.includes(one),
                );
                change(next.join() === USUAL.join() ? undefined : next.join());
              }}
            />
            {name}
          </label>
        ))}
      </div>
    </div>
  );
}

function CopyLink({ range }: { range: string }) {
  const copy = (freeze: boolean) => {
    const url = new URL(location.href);
    if (freeze) url.searchParams.set("t", frozen(range, Date.now()));
    if (!url.searchParams.has("tz")) url.searchParams.set("tz", "UTC");
    void navigator.clipboard
      .writeText(url.href)
      .then(() => announce("Link copied"))
      .catch(() => window.prompt("Copy this link", url.href));
    document.getElementById("copy-link")?.hidePopover();
  };
  return (
    <div>
      <button type="button" popoverTarget="copy-link" aria-haspopup="dialog">
        Copy link
      </button>
      <div id="copy-link" popover="auto" role="dialog" aria-label="Copy link" className="columns-choice">
        <button type="button" className="quiet" onClick={() => copy(true)}>
          Frozen: this range, for good
        </button>
        <button type="button" className="quiet" onClick={() => copy(false)} disabled={!isRolling(range)}>
          Rolling: the range moves on
        </button>
      </div>
    </div>
  );
}
