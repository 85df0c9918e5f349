// A chart over time on a canvas (uPlot), and what a canvas lacks: a summary in words, a cursor for the
// keyboard, the numbers as a table. Dragging, or Shift with the arrows and Enter, chooses a range.
import { useEffect, useId, useRef, useState, useSyncExternalStore } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { compact, count, useTimes } from "../lib/format";
import { prefsStore } from "../lib/prefs";
import "./chart.css";

export interface Line {
  readonly name: string;
  readonly values: readonly number[];
  /** Name of a custom property with a colour. */
  readonly color: string;
  readonly format?: (value: number) => string;
}

interface Props {
  title: string;
  /** Begins of the steps, in milliseconds. */
  at: readonly number[];
  /** Length of a step in milliseconds. */
  step: number;
  lines: readonly Line[];
  choose?: (from: number, until: number) => void;
}

const HEIGHT = 190;
const SYNC = "overview";

/** Changes when the colours do. */
function useTheme(): string {
  const prefs = useSyncExternalStore(prefsStore.subscribe, prefsStore.get);
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = useSyncExternalStore(
    (listener) => {
      media.addEventListener("change", listener);
      return () => media.removeEventListener("change", listener);
    },
    () => media.matches,
  );
  return prefs.theme === "system" ? String(dark) : prefs.theme;
}

export function Chart({ title, at, step, lines, choose }: Props) {
  const times = useTimes();
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useTheme();
  const [cursor, setCursor] = useState<number | null>(null);
  const anchor = useRef<number | null>(null);
  const caption = useId();
  const latest = useRef({ choose, step });
  latest.current = { choose, step };
  const names = lines.map(({ name }) => name).join();
  const days = at.length > 1 && (at[at.length - 1] ?? 0) - (at[0] ?? 0) > 36 * 3_600_000;

  // biome-ignore lint/correctness/useExhaustiveDependencies: made anew for other colours, lines or zones; data come below
  useEffect(() => {
    const node = host.current;
    if (!node) return;
    const color = (name: string) => {
      node.style.color = `var(${name})`;
      const found = getComputedStyle(node).color;
      node.style.color = "";
      return found;
    };
    const text = color("--muted");
    const grid = color("--line");
    const made = new uPlot(
      {
        width: node.clientWidth || 600,
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: true, y: false, setScale: false }, sync: { key: SYNC }, points: { size: 7 } },
        scales: { x: { time: true }, y: { range: (_, __, high) => [0, Math.max(1, high * 1.08)] } },
        axes: [
          {
            stroke: text,
            size: 30,
            grid: { show: false },
            ticks: { stroke: grid, size: 4 },
            font: "12px system-ui, sans-serif",
            values: (_, ticks) =>
              ticks.map((tick) => (days ? times.day(tick * 1000).slice(5) : times.minute(tick * 1000))),
          },
          {
            stroke: text,
            grid: { stroke: grid, width: 1 },
            ticks: { show: false },
            size: 52,
            font: "12px system-ui, sans-serif",
            values: (_, ticks) => ticks.map((tick) => compact(tick)),
          },
        ],
        series: [
          {},
          ...lines.map((line, index) => {
            const stroke = color(line.color);
            return {
              label: line.name,
              stroke,
              width: 1.6,
              fill: index === 0 || lines.length > 1 ? stroke.replace(/^rgb\((.*)\)$/, "rgba($1, 0.16)") : "transparent",
              points: { show: false },
              paths: uPlot.paths.stepped?.({ align: 1 }) ?? null,
            } as uPlot.Series;
          }),
        ],
        hooks: {
          setCursor: [(u) => setCursor(u.cursor.idx ?? null)],
          setSelect: [
            (u) => {
              if (u.select.width < 4) return;
              const low = u.posToVal(u.select.left, "x") * 1000;
              const high = u.posToVal(u.select.left + u.select.width, "x") * 1000;
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              const { step: length, choose: chosen } = latest.current;
              chosen?.(Math.floor(low / length) * length, Math.ceil(high / length) * length);
            },
          ],
        },
      },
      [[], ...lines.map(() => [])],
      node,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: node.clientWidth, height: HEIGHT }));
    resized.observe(node);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [theme, names, times, days]);

  // A step in which nothing happened has no point: the gap is filled with zeros.
  // biome-ignore lint/correctness/useExhaustiveDependencies: also after the chart was made anew
  useEffect(() => {
    const [first] = at;
    if (first === undefined) return;
    const last = at[at.length - 1] ?? first;
    const places = new Map(at.map((time, index) => [time, index]));
    const regular = (last - first) / step <= 5000 && at.every((time) => (time - first) % step === 0);
    const xs = regular
      ? Array.from({ length: (last - first) / step + 1 }, (_, index) => first + index * step)
      : [...at];
    const data = lines.map(({ values }) => xs.map((time) => values[places.get(time) ?? -1] ?? 0));
    // The last step has a width too.
    const ended = [...xs, (xs[xs.length - 1] ?? 0) + step].map((time) => time / 1000);
    plot.current?.setData([
      ended,
      ...data.map((values) => [...values, values[values.length - 1] ?? 0]),
    ] as uPlot.AlignedData);
  }, [at, lines, step, theme, names, times, days]);

  const move = (by: number, choosing: boolean) => {
    const u = plot.current;
    const xs = u?.data[0];
    if (!u || !xs || xs.length === 0) return;
    const before = cursor ?? 0;
    const index = Math.min(xs.length - 2, Math.max(0, before + by));
    if (choosing) anchor.current ??= before;
    else anchor.current = null;
    u.setCursor({ left: u.valToPos(xs[index] ?? 0, "x"), top: 10 });
    const low = u.valToPos(xs[Math.min(index, anchor.current ?? index)] ?? 0, "x");
    const high = u.valToPos(xs[Math.max(index, anchor.current ?? index) + 1] ?? 0, "x");
    u.setSelect({ left: low, top: 0, width: choosing ? high - low : 0, height: u.bbox.height }, false);
  };
  const keyDown = (event: React.KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by !== 0) move(by, event.shiftKey);
    else if (event.key === "Enter" && anchor.current !== null && cursor !== null) {
      const xs = plot.current?.data[0] ?? [];
      const low = Math.min(anchor.current, cursor);
      const high = Math.max(anchor.current, cursor);
      anchor.current = null;
      choose?.((xs[low] ?? 0) * 1000, (xs[high + 1] ?? xs[high] ?? 0) * 1000);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const xs = plot.current?.data[0];
  const time = cursor === null ? undefined : xs?.[cursor];
  const place = time === undefined ? -1 : at.indexOf(Math.round(time * 1000));
  const shown = (line: Line, value: number) => (line.format ?? count)(value);
  const peak = lines
    .map(
      (line) =>
        `${line.name} up to ${shown(
          line,
          line.values.reduce((most, value) => Math.max(most, value), 0),
        )}`,
    )
    .join(", ");
  const words =
    time === undefined
      ? ""
      : `${times.near(time * 1000)}: ${lines.map((line) => `${line.name} ${shown(line, line.values[place] ?? 0)}`).join(", ")}`;
  return (
    <figure className="chart card" aria-labelledby={caption}>
      <figcaption id={caption} className="row spread">
        <h2>{title}</h2>
        <span className="row small num">
          {lines.map((line) => (
            <span key={line.name} className="row key">
              <i className={`swatch ${line.color.slice(2)}`} aria-hidden="true" />
              {line.name}
              {time !== undefined && <strong>{shown(line, line.values[place] ?? 0)}</strong>}
            </span>
          ))}
          <span className="muted">{time === undefined ? "" : `${times.near(time * 1000)} ${times.zone}`}</span>
        </span>
      </figcaption>
      <div
        ref={host}
        className="plot"
        role="slider"
        tabIndex={0}
        aria-label={`${title}: ${peak}. Arrows move, Shift and arrows choose a range, Enter takes it.`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, at.length - 1)}
        aria-valuenow={Math.max(0, place)}
        aria-valuetext={words || "no step"}
        onKeyDown={keyDown}
      />
      <details>
        <summary className="small muted">As a table</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard */}
        <div className="chart-table" role="region" tabIndex={0} aria-label={`${title} as a table`}>
          <table>
            <thead>
              <tr>
                <th scope="col">From ({times.zone})</th>
                {lines.map(({ name }) => (
                  <th key={name} scope="col" className="num">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {at.map((from, index) => (
                <tr key={from}>
                  <td className="num">{times.full(from)}</td>
                  {lines.map((line) => (
                    <td key={line.name} className="num">
                      {shown(line, line.values[index] ?? 0)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
