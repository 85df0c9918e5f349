// The session at a glance: how many requests when, how they ended, and where the attacks are. A part
// of it is chosen by dragging, or by the keyboard: arrows move, Shift and arrows choose, Enter zooms.
import { useMemo, useRef, useState } from "react";
import { count, useTimes } from "../../lib/format";
import type { RequestRow } from "./fold";
import { toneOf } from "./shape";

const BINS = 120;
const HEIGHT = 56;

interface Props {
  rows: readonly RequestRow[];
  from: number;
  until: number;
  zoom: (from: number, until: number) => void;
}

export function Minimap({ rows, from, until, zoom }: Props) {
  const times = useTimes();
  const [chosen, setChosen] = useState<[number, number] | null>(null);
  const [cursor, setCursor] = useState(0);
  const dragging = useRef(false);
  const span = Math.max(1, until - from);
  const bins = useMemo(() => {
    const all = Array.from({ length: BINS }, () => ({
      good: 0,
      info: 0,
      warn: 0,
      bad: 0,
      muted: 0,
      attacks: 0,
      all: 0,
    }));
    for (const row of rows) {
      const place = Math.min(BINS - 1, Math.max(0, Math.floor(((Date.parse(row.ts) - from) / span) * BINS)));
      const bin = all[place];
      if (!bin) continue;
      bin[toneOf(row.status)] += 1;
      bin.all += 1;
      if (row.malicious) bin.attacks += 1;
    }
    return all;
  }, [rows, from, span]);
  const most = Math.max(1, ...bins.map((bin) => bin.all));
  const at = (bin: number) => from + (bin / BINS) * span;
  const finish = (range: [number, number] | null) => {
    setChosen(null);
    if (range && span > 1000) zoom(Math.floor(at(range[0])), Math.ceil(at(range[1] + 1)));
  };
  const binOf = (event: React.PointerEvent) => {
    const box = event.currentTarget.getBoundingClientRect();
    return Math.min(BINS - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * BINS)));
  };
  const keyDown = (event: React.KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step !== 0) {
      const next = Math.min(BINS - 1, Math.max(0, cursor + step));
      if (event.shiftKey) {
        const [low, high] = chosen ?? [cursor, cursor];
        setChosen(
          cursor === high ? [Math.min(low, next), Math.max(low, next)] : [Math.min(next, high), Math.max(next, high)],
        );
      } else setChosen(null);
      setCursor(next);
    } else if (event.key === "Enter") finish(chosen);
    else if (event.key === "Escape" && chosen) setChosen(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const here = bins[cursor];
  const words = here
    ? `${times.near(at(cursor))}: ${count(here.all)} requests, ${count(here.attacks)} with attacks${chosen ? ", chosen; Enter zooms" : ""}`
    : "";
  return (
    <figure className="minimap">
      <div
        role="slider"
        tabIndex={0}
        aria-label="Requests over time. Arrows move, Shift and arrows choose a part, Enter zooms into it."
        aria-valuemin={0}
        aria-valuemax={BINS - 1}
        aria-valuenow={cursor}
        aria-valuetext={words}
        onKeyDown={keyDown}
        onPointerDown={(event) => {
          dragging.current = true;
          event.currentTarget.setPointerCapture(event.pointerId);
          const bin = binOf(event);
          setCursor(bin);
          setChosen([bin, bin]);
        }}
        onPointerMove={(event) => {
          if (!dragging.current) return;
          const bin = binOf(event);
          setChosen([Math.min(cursor, bin), Math.max(cursor, bin)]);
        }}
        onPointerUp={() => {
          dragging.current = false;
          finish(chosen && chosen[1] > chosen[0] ? chosen : null);
        }}
        onPointerCancel={() => {
          dragging.current = false;
          setChosen(null);
        }}
      >
        <svg viewBox={`0 0 ${BINS} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          {bins.map((bin, place) => {
            let below = HEIGHT - 8;
            return (
              // biome-ignore lint/suspicious/noArrayIndexKey: a bin is its place
              <g key={place}>
                {(["good", "info", "muted", "warn", "bad"] as const).map((tone) => {
                  if (bin[tone] === 0) return null;
                  const height = Math.max(1.5, (bin[tone] / most) * (HEIGHT - 12));
                  below -= height;
                  return (
                    <rect key={tone} x={place + 0.1} y={below} width={0.8} height={height} className={`fill-${tone}`} />
                  );
                })}
                {bin.attacks > 0 && <rect x={place} y={HEIGHT - 6} width={1} height={5} className="fill-attack" />}
              </g>
            );
          })}
          {chosen && <rect x={chosen[0]} y={0} width={chosen[1] - chosen[0] + 1} height={HEIGHT} className="chosen" />}
          <rect x={cursor} y={0} width={0.25} height={HEIGHT} className="cursor" />
        </svg>
      </div>
      <figcaption className="row spread small muted num">
        <span>{times.near(from)}</span>
        <span className="legend">
          <i className="good" /> 2xx <i className="info" /> 3xx <i className="warn" /> 4xx <i className="bad" /> 5xx
          <i className="attack" /> attack
        </span>
        <span>{times.near(until)}</span>
      </figcaption>
    </figure>
  );
}
