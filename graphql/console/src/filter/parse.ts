// From the text of a filter to its tree. Never fails: what does not parse becomes a `bad` node.
//
//   filter  = { alternatives }
//   group   = "(" and { "or" and } ")"
//   term    = ["-"] ( group | "{" { field } "}" | field | bound )
//   field   = name ":" value { "," value } | "agent" "~" value
//   bound   = name ( ">=" | "<=" | ">" | "<" | "=" ) number | name ":" number ".." number
//   value   = bare | quoted
import {
  CLASSES,
  type Field,
  findField,
  findStatistic,
  REQUEST_FIELDS,
  SESSION_FIELDS,
  type Statistic,
} from "./fields";
import type { Bad, Filter, Node, RequestTerm } from "./tree";

const UNITS = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** Deeper groups are refused: nobody types them, and the server has a limit too. */
const DEPTH_MAX = 8;

class Wrong extends Error {}

class Reader {
  at = 0;
  constructor(readonly text: string) {}

  get rest(): string {
    return this.text.slice(this.at);
  }
  peek(): string {
    return this.text[this.at] ?? "";
  }
  spaces(): void {
    while (/\s/.test(this.peek())) this.at += 1;
  }
  take(expected: string): boolean {
    if (!this.text.startsWith(expected, this.at)) return false;
    this.at += expected.length;
    return true;
  }
  match(pattern: RegExp): string | undefined {
    const found = pattern.exec(this.rest);
    if (found?.index !== 0) return undefined;
    this.at += found[0].length;
    return found[0];
  }
  /** Past the term that is wrong: a group to where it is closed, anything else to the next space or
   * the end of the group it is in. */
  skip(from: number): string {
    this.at = from;
    const grouped = /^-?[({]/.test(this.rest);
    let depth = 0;
    let quoted = false;
    for (; this.at < this.text.length; this.at += 1) {
      const c = this.peek();
      if (c === "\\" && quoted) this.at += 1;
      else if (c === '"') quoted = !quoted;
      else if (quoted) continue;
      else if (grouped && (c === "(" || c === "{")) depth += 1;
      else if (grouped && (c === ")" || c === "}")) {
        depth -= 1;
        if (depth > 0) continue;
        this.at += 1;
        break;
      } else if (!grouped && (/\s/.test(c) || (this.at > from && (c === ")" || c === "}")))) break;
    }
    this.at = Math.min(Math.max(this.at, from + 1), this.text.length);
    return this.text.slice(from, this.at);
  }
}

const ESCAPES = new Map([
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);

function quoted(reader: Reader): string {
  let value = "";
  reader.at += 1;
  for (;;) {
    const c = reader.peek();
    if (c === "") throw new Wrong("the quote is not closed");
    reader.at += 1;
    if (c === '"') return value;
    if (c !== "\\") {
      value += c;
      continue;
    }
    const code = reader.match(/u\{([0-9a-fA-F]{1,6})\}/);
    if (code) {
      const point = Number.parseInt(code.slice(2, -1), 16);
      if (point > 0x10ffff) throw new Wrong(`${code} is no character`);
      value += String.fromCodePoint(point);
    } else {
      const next = reader.peek();
      if (next === "") throw new Wrong("the quote is not closed");
      value += ESCAPES.get(next) ?? next;
      reader.at += 1;
    }
  }
}

function value(reader: Reader): string {
  if (reader.peek() === '"') return quoted(reader);
  const bare = reader.match(/[^\s"(){},]+/);
  if (bare === undefined) throw new Wrong("a value is missing; a value with spaces needs quotes");
  return bare;
}

function values(reader: Reader): string[] {
  const all = [value(reader)];
  while (reader.take(",")) all.push(value(reader));
  return all;
}

const instant = (text: string): string => {
  if (text === "") return "";
  const time = /^\d{4}-\d\d-\d\dT/.test(text) && /(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw new Wrong(`"${text}" is no time such as 2026-11-25T10:00:00Z`);
  return new Date(time).toISOString();
};

/** The values of a field in the one way they are written. */
function normal(field: Field, given: string[]): string[] {
  switch (field.values) {
    case "bool": {
      const word = given.length === 1 ? given[0]?.toLowerCase() : undefined;
      if (word !== "true" && word !== "false") throw new Wrong(`${field.name} is true or false`);
      return [word];
    }
    case "status": {
      const lower = given.map((one) => one.toLowerCase());
      const classes = lower.filter((one) => CLASSES.has(one as never));
      if (classes.length === lower.length) return lower;
      if (classes.length > 0) throw new Wrong("either statuses or classes: 401,403 or 4xx,5xx");
      if (!lower.every((one) => /^\d{1,5}$/.test(one))) throw new Wrong("a status is a number, 4xx, none or other");
      return lower.map((one) => String(Number(one)));
    }
    case "address": {
      const networks = given.filter((one) => one.includes("/"));
      if (networks.length > 0 && networks.length < given.length) throw new Wrong("either addresses or networks");
      return given;
    }
    case "method":
      return given.map((one) => one.toUpperCase());
    case "parameter":
      if (!given.every((one) => one.indexOf("=") > 0)) throw new Wrong("a parameter is name=value");
      return given;
    case "time": {
      const [from, until, more] = given.length === 1 ? (given[0] ?? "").split("..") : [];
      if (from === undefined || until === undefined || more !== undefined || from + until === "") {
        throw new Wrong("a time is FROM..UNTIL, one of which may be left out");
      }
      return [instant(from), instant(until)];
    }
    case "text":
      return given;
  }
}

function number(text: string, statistic: Statistic): number {
  if (statistic.unit === "instant") return Date.parse(instant(text));
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)([a-z]*)$/.exec(text) ?? [];
  const timed = statistic.unit === "ms" || statistic.unit === "wholeMs";
  const times = unit === "" ? 1 : timed ? UNITS.get(unit) : undefined;
  const found = digits === "" || times === undefined ? Number.NaN : Number(digits) * times;
  if (!Number.isFinite(found)) throw new Wrong(`"${text}" is no number`);
  if (statistic.unit !== "ms" && !Number.isSafeInteger(found)) throw new Wrong(`${statistic.name} is a whole number`);
  return found;
}

function bound(operator: string, text: string, statistic: Statistic): Node {
  const range = (bounds: { min?: number; max?: number }): Node => ({ kind: "range", by: statistic.by, ...bounds });
  if (operator === ":") {
    const [low, high, more] = text.split("..");
    if (low === undefined || high === undefined || more !== undefined || low + high === "") {
      throw new Wrong(`${statistic.name} is compared: ${statistic.name}>=10 or ${statistic.name}:10..50`);
    }
    const bounds: { min?: number; max?: number } = {};
    if (low !== "") bounds.min = number(low, statistic);
    if (high !== "") bounds.max = number(high, statistic);
    return range(bounds);
  }
  const found = number(text, statistic);
  if (operator === ">=") return range({ min: found });
  if (operator === "<=") return range({ max: found });
  if (operator === "=") return range({ min: found, max: found });
  if (statistic.unit === "ms") throw new Wrong(`write ${operator}= : bounds of ${statistic.name} are included`);
  if (operator === "<" && found === 0) throw new Wrong("nothing is below 0");
  return operator === ">" ? range({ min: found + 1 }) : range({ max: found - 1 });
}

const NAME = /[A-Za-z][A-Za-z0-9_.]*/;
const OPERATOR = />=|<=|[:~<>=]/;

function requestTerm(name: string, operator: string, reader: Reader): RequestTerm {
  const field = findField(REQUEST_FIELDS, name);
  if (!field) {
    const elsewhere = findField(SESSION_FIELDS, name) ?? findStatistic(name);
    throw new Wrong(elsewhere ? `${name} is about a session: put it outside the braces` : `there is no field ${name}`);
  }
  if (operator === "~") {
    if (field.name !== "agent") throw new Wrong("~ is for agent");
    return { kind: "term", field: "agent", values: [value(reader)], part: true };
  }
  if (operator !== ":") throw new Wrong(`write ${field.name}:value`);
  return { kind: "term", field: field.name, values: normal(field, values(reader)) };
}

const sameTerm = (one: RequestTerm, other: RequestTerm) => one.field === other.field && one.part === other.part;

function braces(reader: Reader): Node {
  const of: (RequestTerm | Bad)[] = [];
  for (;;) {
    reader.spaces();
    if (reader.take("}")) break;
    if (reader.peek() === "") throw new Wrong("the brace is not closed");
    const from = reader.at;
    try {
      if (reader.peek() === "-") throw new Wrong("within braces nothing is excluded: put the - before them");
      const name = reader.match(NAME);
      const operator = name === undefined ? undefined : reader.match(OPERATOR);
      if (name === undefined || operator === undefined) throw new Wrong("a field:value is expected");
      const term = requestTerm(name, operator, reader);
      if (!/^[\s}]|^$/.test(reader.rest)) throw new Wrong("a space is missing after the value");
      if (of.some((other) => other.kind === "term" && sameTerm(other, term) && term.field !== "param")) {
        throw new Wrong(`${term.field} is given twice: alternatives are ${term.field}:one,other`);
      }
      of.push(term);
    } catch (wrong) {
      if (!(wrong instanceof Wrong)) throw wrong;
      of.push({ kind: "bad", text: reader.skip(from), reason: wrong.message });
    }
  }
  if (of.length === 0) throw new Wrong("the braces are empty");
  return { kind: "request", of };
}

function group(reader: Reader, depth: number): Node {
  if (depth > DEPTH_MAX) throw new Wrong("too many parentheses");
  const alternatives: Node[] = [];
  let all: Node[] = [];
  const close = () => {
    const [first] = all;
    if (first === undefined) throw new Wrong("something is missing beside `or`, or between the parentheses");
    alternatives.push(all.length === 1 ? first : { kind: "and", of: all });
    all = [];
  };
  for (;;) {
    reader.spaces();
    if (reader.take(")")) break;
    if (reader.peek() === "") throw new Wrong("the parenthesis is not closed");
    if (reader.match(/(or|OR)(?=[\s()])/)) close();
    else all.push(term(reader, depth));
  }
  close();
  const [first] = alternatives;
  return alternatives.length === 1 && first ? first : { kind: "or", of: alternatives };
}

function comparison(reader: Reader): Node {
  const name = reader.match(NAME);
  const operator = name === undefined ? undefined : reader.match(OPERATOR);
  if (name === undefined || operator === undefined) {
    throw new Wrong("a field is expected, such as attack:sqli, user:alice or requests>50");
  }
  const statistic = findStatistic(name);
  const field = findField(SESSION_FIELDS, name);
  const compared = operator !== ":" || (field ? /^[\d.]/.test(reader.rest) && field.values === "bool" : true);
  if (statistic && compared && operator !== "~") return bound(operator, value(reader), statistic);
  if (!field) return { kind: "request", of: [requestTerm(name, operator, reader)] };
  if (operator !== ":") throw new Wrong(`write ${field.name}:value`);
  return { kind: "field", field: field.name, values: normal(field, values(reader)) };
}

function term(reader: Reader, depth: number): Node {
  const from = reader.at;
  try {
    if (reader.take("-")) {
      const below = term(reader, depth);
      if (below.kind === "bad") throw new Wrong(below.reason);
      return { kind: "not", of: below };
    }
    const c = reader.peek();
    let found: Node;
    if (reader.take("(")) found = group(reader, depth + 1);
    else if (reader.take("{")) found = braces(reader);
    else found = comparison(reader);
    const ended = c === "{" || c === "(" ? true : /^[\s)}]|^$/.test(reader.rest);
    if (!ended) throw new Wrong("a space is missing after the value");
    return found;
  } catch (wrong) {
    if (!(wrong instanceof Wrong)) throw wrong;
    return { kind: "bad", text: reader.skip(from), reason: wrong.message };
  }
}

export function parse(text: string): Filter {
  const reader = new Reader(text);
  const all: Node[] = [];
  for (;;) {
    reader.spaces();
    if (reader.at >= text.length) return all;
    all.push(term(reader, 0));
  }
}
