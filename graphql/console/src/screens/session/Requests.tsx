// The requests of a session in order of time, as a waterfall: when, what, how it ended, how long.
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import { bytes, count, length, toNumber, useTimes } from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { Icon } from "../../ui/icons";
import { Text } from "../../ui/Text";
import { fold, type Line, type RequestRow } from "./fold";
import { toneOf, widthOf } from "./shape";

const HEIGHT = 36;
const HEAD = 33;

interface Props {
  rows: readonly RequestRow[];
  from: number;
  until: number;
  /** The id of the record of the request that is shown beside. */
  shown: string | undefined;
  show: (requestId: string | undefined) => void;
  more: (() => void) | undefined;
  loadingMore: boolean;
  total: number;
}

export function Requests({ rows, from, until, shown, show, more, loadingMore, total }: Props) {
  const times = useTimes();
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const lines = fold(rows, open);
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState<string>();
  const focusWanted = useRef(false);
  const found = lines.findIndex((line) => line.key === active);
  const at =
    found < 0
      ? Math.max(
          0,
          lines.findIndex((line) => line.row.requestId === shown),
        )
      : found;
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => HEIGHT,
    overscan: 15,
    getItemKey: (index) => lines[index]?.key ?? index,
    scrollMargin: HEAD,
    scrollPaddingStart: HEAD,
  });

  // A request that a link opens is scrolled to, out of its fold if it is in one.
  const linked = useRef(shown);
  useEffect(() => {
    if (linked.current === undefined || lines.length === 0) return;
    const inFold = lines.find((line) => line.others.some((other) => other.requestId === linked.current));
    if (inFold && !open.has(inFold.key)) {
      setOpen(new Set([...open, inFold.key]));
      return;
    }
    const place = lines.findIndex((line) => line.row.requestId === linked.current);
    if (place >= 0) virtual.scrollToIndex(place, { align: "center" });
    linked.current = undefined;
  });
  // The panel that closes gives the focus to the row it was about, or to the fold that row is in.
  const before = useRef(shown);
  useEffect(() => {
    const closed = shown === undefined ? before.current : undefined;
    before.current = shown;
    if (closed === undefined) return;
    const line = lines.find(
      ({ row, others, key }) =>
        row.requestId === closed || (!open.has(key) && others.some(({ requestId }) => requestId === closed)),
    );
    if (!line) return;
    focusWanted.current = true;
    setActive(line.key);
    scroller.current
      ?.querySelector<HTMLElement>(`[data-key="${CSS.escape(line.key)}"]`)
      ?.focus({ preventScroll: true });
  });
  useEffect(() => {
    if (!focusWanted.current || active === undefined) return;
    const row = scroller.current?.querySelector<HTMLElement>(`[data-key="${CSS.escape(active)}"]`);
    if (!row) return;
    focusWanted.current = false;
    row.focus({ preventScroll: true });
  });

  const go = (index: number) => {
    const line = lines[Math.min(Math.max(0, index), lines.length - 1)];
    if (!line) return;
    setActive(line.key);
    focusWanted.current = true;
    virtual.scrollToIndex(lines.indexOf(line), { align: "auto" });
    if (shown !== undefined) show(line.row.requestId);
  };
  const inGrid = () => scroller.current?.contains(document.activeElement) ?? false;
  useKeys({
    j: () => go(inGrid() || shown !== undefined ? at + 1 : at),
    k: () => go(inGrid() || shown !== undefined ? at - 1 : at),
  });
  const toggle = (line: Line) => {
    const next = new Set(open);
    if (!next.delete(line.key)) next.add(line.key);
    setOpen(next);
  };
  const keyDown = (event: React.KeyboardEvent) => {
    if ((event.target as HTMLElement).role !== "row") return;
    const line = lines[at];
    const moves: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + 10,
      PageUp: at - 10,
      Home: 0,
      End: lines.length - 1,
    };
    const target = moves[event.key];
    if (target !== undefined) go(target);
    else if (event.key === "ArrowRight" && line && line.others.length > 0 && !open.has(line.key)) toggle(line);
    else if (event.key === "ArrowLeft" && line && open.has(line.key)) toggle(line);
    else return;
    event.preventDefault();
  };
  const span = Math.max(1, until - from);

  return (
    <div
      ref={scroller}
      className="grid requests"
      role="treegrid"
      aria-label="Requests"
      aria-rowcount={more ? -1 : lines.length + 1}
      onKeyDown={keyDown}
    >
      <div role="rowgroup" className="grid-head">
        <div role="row" className="grid-row request-row">
          <div role="columnheader" className="num">
            #
          </div>
          <div role="columnheader">Time</div>
          <div role="columnheader">Status</div>
          <div role="columnheader">Request</div>
          <div role="columnheader" className="lane-head">
            When
          </div>
          <div role="columnheader" className="num">
            Took
          </div>
          <div role="columnheader" className="num sent">
            Sent
          </div>
        </div>
      </div>
      <div role="rowgroup" className="grid-body" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const line = lines[item.index];
          if (!line) return null;
          const { row, others } = line;
          const tone = toneOf(row.status);
          const folded = others.length > 0 && !open.has(line.key);
          const last = folded ? others[others.length - 1] : undefined;
          const left = ((Date.parse(row.ts) - from) / span) * 100;
          const right = last
            ? ((Date.parse(last.ts) - from) / span) * 100
            : left + ((row.durationMs ?? 0) / span) * 100;
          return (
            <div
              key={line.key}
              role="row"
              aria-rowindex={item.index + 2}
              aria-level={line.inside ? 2 : 1}
              aria-expanded={others.length > 0 ? open.has(line.key) : undefined}
              aria-selected={row.requestId === shown}
              data-key={line.key}
              tabIndex={item.index === at ? 0 : -1}
              className={`grid-row request-row${line.inside ? " inside" : ""}`}
              style={{ height: HEIGHT, transform: `translateY(${item.start - HEAD}px)` }}
              onFocus={() => setActive(line.key)}
              onClick={() => show(row.requestId === shown ? undefined : row.requestId)}
              onKeyDown={(event) => {
                if (event.key !== "Enter" || event.target !== event.currentTarget) return;
                event.preventDefault();
                show(row.requestId);
                // The panel takes the focus, and gives it back to this row.
                requestAnimationFrame(() => document.getElementById("request-title")?.focus());
              }}
            >
              <div role="gridcell" className="num muted">
                {count(line.place)}
              </div>
              <div role="gridcell" className="cut">
                <time dateTime={row.ts}>{times.near(row.ts)}</time>
                {row.stepMs !== null && <span className="muted small"> +{length(toNumber(row.stepMs))}</span>}
              </div>
              <div role="gridcell">
                <span className={`badge ${tone}`}>{row.status ?? "none"}</span>
              </div>
              <div role="gridcell" className="what">
                <span className="mono cut">
                  <Text of={row.endpoint} />
                </span>
                {others.length > 0 && (
                  <button
                    type="button"
                    tabIndex={-1}
                    className="fold"
                    aria-label={`${folded ? "Unfold" : "Fold"} ${others.length + 1} equal requests`}
                    onClick={(event) => {
                      event.stopPropagation();
                      toggle(line);
                    }}
                  >
                    ×{count(others.length + 1)} {folded ? "▸" : "▾"}
                  </button>
                )}
                {row.attacks.length > 0 && (
                  <span className="badge bad">
                    <Icon name="shield" size={12} />
                    <Text of={[...new Set(row.attacks.map(({ type }) => type))].join(", ")} />
                    {row.blocked && <span className="then"> · blocked</span>}
                  </span>
                )}
                {row.flows.map((flow) => (
                  <span key={flow} className="badge info">
                    <Text of={flow} />
                  </span>
                ))}
              </div>
              <div role="gridcell" className="lane" aria-label={`${length(Date.parse(row.ts) - from)} after the begin`}>
                <span
                  className={`tick fill-${tone}`}
                  style={{
                    insetInlineStart: `${Math.min(99.5, Math.max(0, left))}%`,
                    width: `${Math.max(0.5, Math.min(100, right) - left)}%`,
                  }}
                />
              </div>
              <div role="gridcell" className="num took">
                {row.durationMs === null ? (
                  <span className="muted">–</span>
                ) : (
                  <>
                    <span className="took-bar" style={{ width: `${widthOf(row.durationMs) * 100}%` }} />
                    <span className="took-text">{length(row.durationMs)}</span>
                  </>
                )}
              </div>
              <div role="gridcell" className="num sent">
                {bytes(row.responseBytes)}
              </div>
            </div>
          );
        })}
      </div>
      {more && (
        <div role="rowgroup" className="more">
          <div role="row">
            <div role="gridcell">
              <button type="button" onClick={more} disabled={loadingMore}>
                {loadingMore ? "Loading …" : `Load more: ${count(total - rows.length)} are left`}
              </button>
            </div>
          </div>
        </div>
      )}
    </div>
  );
}
