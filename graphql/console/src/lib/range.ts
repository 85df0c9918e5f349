// The range of time in an address: `all`, `-1h..now`, or two instants.

export interface Range {
  /** As it stands in the address. */
  readonly text: string;
  /** It moves with the clock. */
  readonly rolling: boolean;
}

const UNITS = new Map([
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

export const PRESETS = [
  { text: "-15m..now", label: "Last 15 minutes" },
  { text: "-1h..now", label: "Last hour" },
  { text: "-6h..now", label: "Last 6 hours" },
  { text: "-24h..now", label: "Last 24 hours" },
  { text: "-7d..now", label: "Last 7 days" },
  { text: "all", label: "All that is kept" },
] as const;

/** The instants of a range as of `now`; nothing where it is open, null where it is no range. */
export function resolve(text: string, now: number): { from?: string; until?: string } | null {
  if (text === "all") return {};
  const rolling = /^-(\d{1,4})([mhd])\.\.now$/.exec(text);
  if (rolling) {
    const unit = UNITS.get(rolling[2] ?? "") ?? 0;
    return { from: new Date(now - Number(rolling[1]) * unit).toISOString() };
  }
  const [from = "", until = "", more] = text.split("..");
  const valid = (part: string) =>
    part === "" || (/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(part) && !Number.isNaN(Date.parse(part)));
  if (more !== undefined || !text.includes("..") || !valid(from) || !valid(until) || from + until === "") return null;
  const range: { from?: string; until?: string } = {};
  if (from) range.from = new Date(from).toISOString();
  if (until) range.until = new Date(until).toISOString();
  return range;
}

export const isRolling = (text: string): boolean => text === "all" || text.endsWith("..now");

/** The same range with instants that stay. */
export function frozen(text: string, now: number): string {
  const range = resolve(text, now);
  if (!range || text === "all") return `..${new Date(now).toISOString()}`;
  return `${range.from ?? ""}..${range.until ?? new Date(now).toISOString()}`;
}

/** The range of the same length that ends where this one begins. */
export function previous(
  range: { from?: string; until?: string },
  now: number,
): { from: string; until: string } | null {
  if (!range.from) return null;
  const from = Date.parse(range.from);
  const until = range.until ? Date.parse(range.until) : now;
  return { from: new Date(from - (until - from)).toISOString(), until: range.from };
}
