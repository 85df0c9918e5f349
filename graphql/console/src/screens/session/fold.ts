// Equal neighbours in a session fold into one line: a scan is one line with a count, not a screenful.
import type { RequestRowFragment } from "../../api/generated";

export type RequestRow = RequestRowFragment;

export interface Line {
  readonly key: string;
  /** The first request of the line. */
  readonly row: RequestRow;
  /** Its place among the requests that are shown, from 1. */
  readonly place: number;
  /** The others of a fold, the first not among them. */
  readonly others: readonly RequestRow[];
  /** Part of a fold that is open. */
  readonly inside: boolean;
}

/** Fewer equal neighbours are left as they are. */
export const FOLD_MIN = 3;

const alike = (one: RequestRow, other: RequestRow): boolean =>
  one.endpoint === other.endpoint &&
  one.status === other.status &&
  one.blocked === other.blocked &&
  one.attacks.map(({ type }) => type).join() === other.attacks.map(({ type }) => type).join();

/** `open` has the ids of folds (of their first request) that are open. */
export function fold(rows: readonly RequestRow[], open: ReadonlySet<string>): Line[] {
  const lines: Line[] = [];
  for (let at = 0; at < rows.length; ) {
    const row = rows[at];
    if (!row) break;
    let end = at + 1;
    while (end < rows.length && alike(row, rows[end] as RequestRow)) end += 1;
    if (end - at < FOLD_MIN) end = at + 1;
    const others = rows.slice(at + 1, end);
    lines.push({ key: row.id, row, place: at + 1, others, inside: false });
    if (open.has(row.id)) {
      others.forEach((other, index) => {
        lines.push({ key: other.id, row: other, place: at + 2 + index, others: [], inside: true });
      });
    }
    at = end;
  }
  return lines;
}
