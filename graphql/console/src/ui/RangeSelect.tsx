// Which part of time: a range that rolls with the clock, or one that stays.
import { useId, useRef, useState } from "react";
import { useTimes } from "../lib/format";
import { PRESETS, resolve } from "../lib/range";
import { fromZoned, toZoned } from "../lib/zoned";

export function RangeSelect({ range, change }: { range: string; change: (range: string) => void }) {
  const times = useTimes();
  const popover = useRef<HTMLDivElement>(null);
  const id = useId();
  const preset = PRESETS.find(({ text }) => text === range);
  const found = resolve(range, Date.now());
  const label = preset
    ? preset.label
    : found
      ? `${found.from ? times.full(found.from) : "begin"} – ${found.until ? times.full(found.until) : "now"}`
      : "Not a range of time";
  const choose = (text: string) => {
    popover.current?.hidePopover();
    change(text);
  };
  return (
    <div className="range">
      <button type="button" popoverTarget={id} aria-haspopup="dialog" className={found ? "" : "danger"}>
        <span className="num">{label}</span>
        <span aria-hidden="true">▾</span>
      </button>
      <div ref={popover} id={id} popover="auto" role="dialog" aria-label="Range of time" className="range-choice">
        <div className="stack">
          {PRESETS.map(({ text, label: name }) => (
            <button
              key={text}
              type="button"
              className="quiet"
              aria-pressed={text === range}
              onClick={() => choose(text)}
            >
              {name}
            </button>
          ))}
        </div>
        <Exact key={range} range={range} choose={choose} />
      </div>
    </div>
  );
}

function Exact({ range, choose }: { range: string; choose: (text: string) => void }) {
  const { zone } = useTimes();
  const found = resolve(range, Date.now());
  const [from, setFrom] = useState(found?.from ? toZoned(found.from, zone) : "");
  const [until, setUntil] = useState(found?.until ? toZoned(found.until, zone) : "");
  const wrong =
    from === "" && until === ""
      ? "Give at least one of the two."
      : from && until && from >= until
        ? "The end is not after the begin."
        : "";
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (!wrong) choose(`${from && fromZoned(from, zone)}..${until && fromZoned(until, zone)}`);
      }}
    >
      <label>
        From ({zone})
        <br />
        <input type="datetime-local" step="1" value={from} onChange={(event) => setFrom(event.target.value)} />
      </label>
      <label>
        Until ({zone})
        <br />
        <input type="datetime-local" step="1" value={until} onChange={(event) => setUntil(event.target.value)} />
      </label>
      <div className="row">
        <button type="submit" className="primary" disabled={wrong !== ""}>
          Apply
        </button>
        <span className="muted small">{wrong}</span>
      </div>
    </form>
  );
}
