// The list of sessions as an ARIA grid: rows are made for what can be seen, one of them has the
// focus, and nothing moves unless the reader asks.

import { Link, useNavigate } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { useKeys } from "../../lib/keys";
import { plain } from "../../lib/text";
import type { LiveSet } from "../../live/liveSet";
import type { Search } from "../../router";
import type { Context, SessionColumn, SessionRow } from "./columns";
import "./grid.css";

const HEIGHT = 54;
const HEIGHT_CARD = 138;
/** The row of headings, which stays over the rows. */
const HEAD = 37;

interface Props {
  set: LiveSet<SessionRow>;
  columns: readonly SessionColumn[];
  context: Context;
  sort: { column: SessionColumn; descending: boolean };
  changeSort: (sort: string) => void;
  /** Narrows the filter to the identity of a row, or excludes it. */
  pivot: (row: SessionRow, exclude: boolean) => void;
  busy: boolean;
  more: (() => void) | undefined;
  loadingMore: boolean;
  /** Where it was scrolled to and which row had the focus, when it is come back to. */
  place: { top: number; key: string | undefined };
  total: number | undefined;
}

const useNarrow = () => {
  const media = window.matchMedia("(max-width: 767px)");
  return useSyncExternalStore(
    (listener) => {
      media.addEventListener("change", listener);
      return () => media.removeEventListener("change", listener);
    },
    () => media.matches,
  );
};

export function Grid(props: Props) {
  const { set, columns, context, sort, changeSort, pivot, busy, more, loadingMore, place, total } = props;
  const order = useSyncExternalStore(set.subscribe, set.order);
  const scroller = useRef<HTMLDivElement>(null);
  const narrow = useNarrow();
  const [active, setActive] = useState(place.key);
  const navigate = useNavigate();
  const height = narrow ? HEIGHT_CARD : HEIGHT;
  const at = Math.max(0, active === undefined ? 0 : order.indexOf(active));
  const focusWanted = useRef(false);

  const rows = useVirtualizer({
    count: order.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    overscan: 12,
    getItemKey: (index) => order[index] ?? index,
    initialOffset: place.top,
    scrollMargin: narrow ? 0 : HEAD,
    scrollPaddingStart: narrow ? 0 : HEAD,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the sizes are those of the layout
  useEffect(() => {
    rows.measure();
  }, [height, rows]);

  // Too narrow for the columns, the head and the rows are as wide as they need, and scroll together.
  const least = columns.reduce((sum, { width }) => sum + Number(/(\d+)px/.exec(width)?.[1]), 0);
  const template = { gridTemplateColumns: columns.map(({ width }) => width).join(" "), minWidth: least };

  const go = useCallback(
    (index: number) => {
      const key = order[Math.min(Math.max(0, index), order.length - 1)];
      if (key === undefined) return;
      setActive(key);
      place.key = key;
      focusWanted.current = true;
      rows.scrollToIndex(order.indexOf(key), { align: "auto" });
    },
    [order, rows, place],
  );
  // The row may be made only after the scroll.
  useEffect(() => {
    if (!focusWanted.current || active === undefined) return;
    const row = scroller.current?.querySelector<HTMLElement>(`[data-key="${CSS.escape(active)}"]`);
    if (!row) return;
    focusWanted.current = false;
    row.focus({ preventScroll: true });
  });
  // Coming back: the row that had the focus has it again, unless something else took it meanwhile.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the list is shown
  useEffect(() => {
    if (active !== undefined) focusWanted.current = document.activeElement === document.body;
  }, []);

  const inGrid = () => scroller.current?.contains(document.activeElement) ?? false;
  const pivotAt = (exclude: boolean) => {
    const key = inGrid() ? order[at] : undefined;
    const row = key === undefined ? undefined : set.entry(key)?.row;
    if (row) pivot(row, exclude);
  };
  useKeys({
    j: () => go(inGrid() ? at + 1 : at),
    k: () => go(inGrid() ? at - 1 : at),
    i: () => pivotAt(false),
    o: () => pivotAt(true),
  });
  const keyDown = (event: React.KeyboardEvent) => {
    const moves: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + 10,
      PageUp: at - 10,
      Home: 0,
      End: order.length - 1,
    };
    const target = moves[event.key];
    if (target === undefined || (event.target as HTMLElement).role !== "row") return;
    event.preventDefault();
    go(target);
  };
  const open = (key: string) => {
    const row = set.entry(key)?.row;
    if (row) void navigate({ to: "/sessions/$id", params: { id: row.sessionId }, search: keepZone });
  };

  return (
    <div
      ref={scroller}
      className={busy ? "grid busy" : "grid"}
      role="grid"
      aria-label="Sessions"
      aria-rowcount={total ?? -1}
      aria-colcount={columns.length}
      aria-busy={busy}
      onKeyDown={keyDown}
      onScroll={(event) => {
        place.top = event.currentTarget.scrollTop;
      }}
    >
      <div role="rowgroup" className="grid-head">
        <div role="row" aria-rowindex={1} className="grid-row" style={template}>
          {columns.map((column) => {
            const sorted = column === sort.column;
            const name = column.by ? (
              <button
                type="button"
                className="quiet sort"
                onClick={() => changeSort(sorted && sort.descending ? column.id : `-${column.id}`)}
              >
                {column.name}
                {sorted && <span aria-hidden="true">{sort.descending ? "↓" : "↑"}</span>}
              </button>
            ) : (
              column.name
            );
            return (
              <div
                key={column.id}
                role="columnheader"
                className={column.number ? "num" : ""}
                aria-sort={sorted ? (sort.descending ? "descending" : "ascending") : undefined}
              >
                {name}
              </div>
            );
          })}
        </div>
      </div>
      <div role="rowgroup" className="grid-body" style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map((item) => {
          const key = order[item.index];
          if (key === undefined) return null;
          return (
            <Row
              key={key}
              id={key}
              index={item.index}
              top={item.start - (narrow ? 0 : HEAD)}
              height={height}
              set={set}
              columns={columns}
              context={context}
              template={narrow ? undefined : template}
              focusable={item.index === at}
              open={open}
              chosen={() => {
                setActive(key);
                place.key = key;
              }}
            />
          );
        })}
      </div>
      {more && (
        <div role="rowgroup" className="more">
          <div role="row">
            <div role="gridcell">
              <button type="button" onClick={more} disabled={loadingMore}>
                {loadingMore ? "Loading …" : "Load more"}
              </button>
            </div>
          </div>
        </div>
      )}
    </div>
  );
}

const keepZone = (before: Search): Search => (before.tz === undefined ? {} : { tz: before.tz });

interface RowProps {
  id: string;
  index: number;
  top: number;
  height: number;
  set: LiveSet<SessionRow>;
  columns: readonly SessionColumn[];
  context: Context;
  template: React.CSSProperties | undefined;
  focusable: boolean;
  open: (key: string) => void;
  chosen: () => void;
}

const Row = memo(function Row({
  id,
  index,
  top,
  height,
  set,
  columns,
  context,
  template,
  focusable,
  open,
  chosen,
}: RowProps) {
  const entry = useSyncExternalStore(set.subscribe, () => set.entry(id));
  if (!entry) return null;
  const { row, gone, changes } = entry;
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      data-key={id}
      tabIndex={focusable ? 0 : -1}
      className={`grid-row${gone ? " gone" : ""}`}
      style={{ ...template, height, transform: `translateY(${top}px)` }}
      onFocus={chosen}
      onClick={(event) => {
        if (!(event.target as HTMLElement).closest("a") && !getSelection()?.toString()) open(id);
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && event.target === event.currentTarget) open(id);
      }}
    >
      {columns.map((column, place) => (
        <div key={column.id} role="gridcell" data-name={column.name} className={column.number ? "num" : ""}>
          {place === 0 ? (
            <Link
              to="/sessions/$id"
              params={{ id: row.sessionId }}
              search={keepZone}
              tabIndex={-1}
              className="open-link"
            >
              {column.cell(row, context)}
              <span className="hidden">, session of {plain(row.identity.value)}</span>
            </Link>
          ) : (
            column.cell(row, context)
          )}
          {place === 0 && gone && <span className="badge warn">no longer matches</span>}
          {place === 0 && changes > 0 && !gone && <span key={changes} className="pulse" aria-hidden="true" />}
        </div>
      ))}
    </div>
  );
});
