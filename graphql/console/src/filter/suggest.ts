// What may be typed next in a filter: names of fields, and the values of those that have few.
import { CLASSES, findField, REQUEST_FIELDS, SESSION_FIELDS, STATISTICS } from "./fields";
import { printValue } from "./print";

export interface Suggestion {
  /** What is put in place of the word. */
  readonly text: string;
  readonly about: string;
}

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

const NAMES: readonly Suggestion[] = [
  ...REQUEST_FIELDS.slice(0, 6).map(({ name, about }) => ({ text: `${name}:`, about })),
  ...SESSION_FIELDS.map(({ name, about }) => ({ text: `${name}:`, about })),
  ...STATISTICS.map(({ name, about }) => ({ text: `${name}>=`, about })),
  ...REQUEST_FIELDS.slice(6)
    .filter(({ name }) => !SESSION_FIELDS.some((field) => field.name === name))
    .map(({ name, about }) => ({ text: `${name}:`, about })),
];

/** The word the caret is in: where it begins, without a `-` or brace before it. */
export function wordAt(text: string, caret: number): { from: number; word: string } {
  let from = caret;
  let quoted = false;
  for (let at = 0; at < caret; at += 1) {
    if (text[at] === '"') quoted = !quoted;
    if (!quoted && /[\s({]/.test(text[at] ?? "")) from = at + 1;
    else if (at === 0) from = 0;
  }
  if (text[from] === "-") from += 1;
  return { from, word: text.slice(from, caret) };
}

/** `known` are values that were seen, by field. */
export function suggest(word: string, known: ReadonlyMap<string, ReadonlySet<string>>): Suggestion[] {
  const [, name = "", begun = ""] = /^([A-Za-z.]+):(.*)$/s.exec(word) ?? [];
  if (name === "") {
    const lower = word.toLowerCase();
    return NAMES.filter(({ text }) => text.toLowerCase().startsWith(lower) && text.toLowerCase() !== lower).slice(0, 9);
  }
  const field = findField(REQUEST_FIELDS, name) ?? findField(SESSION_FIELDS, name);
  if (!field) return [];
  const values =
    field.values === "bool"
      ? ["true", "false"]
      : field.values === "method"
        ? METHODS
        : field.values === "status"
          ? [...CLASSES.keys()]
          : [...(known.get(field.name) ?? [])].sort();
  const lower = begun.replace(/^"/, "").toLowerCase();
  return values
    .filter((value) => value.toLowerCase().startsWith(lower))
    .slice(0, 9)
    .map((value) => ({ text: `${field.name}:${printValue(value)}`, about: "" }))
    .filter(({ text }) => text !== word);
}
