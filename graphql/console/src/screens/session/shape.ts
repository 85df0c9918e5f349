// How a response is shown: by a word and a shape first, by a colour besides.
export type Tone = "good" | "info" | "warn" | "bad" | "muted";

export function toneOf(status: number | null): Tone {
  if (status === null || status === 0) return "muted";
  if (status >= 500) return "bad";
  if (status >= 400) return "warn";
  if (status >= 300) return "info";
  return "good";
}

/** Width of a bar for a time to response: the first millisecond to the first minute, by powers. */
export const widthOf = (ms: number): number => Math.min(1, Math.max(0.02, Math.log10(1 + ms) / Math.log10(60_001)));
