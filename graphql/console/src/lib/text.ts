// Log data is written by whoever sends requests. Characters that are invisible, that steer a terminal
// or that turn the direction of text are shown as what they are: `\u{202e}`.

/** Controls, format characters (bidi, zero width, tags), separators of lines, lone surrogates. */
const STEERS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\ufe00-\ufe0f]/u;
const STEERS_ALL = new RegExp(STEERS.source, "gu");

export const escapes = (text: string): boolean => STEERS.test(text);

export const escaped = (character: string): string => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;

/** As one string, for places that take no markup: titles, labels, file names. */
export const plain = (text: string): string => (escapes(text) ? text.replace(STEERS_ALL, escaped) : text);

/** Runs of text, and characters that are to be shown escaped. Line breaks and tabs may be kept. */
export function runs(text: string, lines = false): { readonly text: string; readonly steers: boolean }[] {
  if (!escapes(text)) return [{ text, steers: false }];
  const all: { text: string; steers: boolean }[] = [];
  let kept = "";
  for (const c of text) {
    if (!STEERS.test(c) || (lines && (c === "\n" || c === "\t"))) {
      kept += c;
      continue;
    }
    if (kept !== "") all.push({ text: kept, steers: false });
    kept = "";
    all.push({ text: escaped(c), steers: true });
  }
  if (kept !== "") all.push({ text: kept, steers: false });
  return all;
}
