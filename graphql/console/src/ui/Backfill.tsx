// How far a change of the rules has come through the retained past.
import type { StateFragment } from "../api/generated";
import { count, share, toNumber } from "../lib/format";

export function Backfill({ state }: { state: NonNullable<StateFragment["backfill"]> }) {
  const total = Math.max(1, toNumber(state.total));
  const done = Math.min(total, toNumber(state.done));
  return (
    <div className="card backfill">
      <div className="row spread">
        <strong>Version {count(state.version)} of the rules goes through the past</strong>
        <span className="num">
          {count(done)} of {count(total)} requests, {share(done / total)}
        </span>
      </div>
      <progress max={total} value={done} aria-label="Requests that were looked at" />
    </div>
  );
}
