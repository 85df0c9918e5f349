// The text of a filter and its tree are one thing: what is printed parses to what was printed.
import { expect, test } from "vitest";
import type { SessionFilter } from "../../src/api/generated";
import { toSessionFilter } from "../../src/filter/api";
import { CLASSES, REQUEST_FIELDS, SESSION_FIELDS, STATISTICS } from "../../src/filter/fields";
import { parse } from "../../src/filter/parse";
import { print } from "../../src/filter/print";
import { suggest, wordAt } from "../../src/filter/suggest";
import { bads, type Filter, type Node, negate, type RequestTerm } from "../../src/filter/tree";
import { random } from "./random";

type Random = ReturnType<typeof random>;

const TEXTS = [
  "sqli",
  "alice",
  "GET /users/{int}",
  'a "quoted" one',
  "back\\slash",
  "comma, and more",
  "new\nline\ttab",
  "\u202egnp.exe",
  "\u0000\u001b[31m",
  "{}()",
  "-",
  "or",
  "a=b=c",
  "é😀",
  "10.0.0.1",
  "=1+1",
  "",
  " ",
];

const instant = (r: Random) => new Date(1_700_000_000_000 + r.below(100_000_000_000)).toISOString();

function values(r: Random, kind: string): string[] {
  const several = <T>(make: () => T): T[] => Array.from({ length: 1 + r.below(3) }, make);
  switch (kind) {
    case "bool":
      return [r.one(["true", "false"])];
    case "status":
      return r.below(2) ? several(() => String(r.below(600))) : several(() => r.one([...CLASSES.keys()]));
    case "address":
      return r.below(2) ? several(() => `10.0.0.${r.below(255)}`) : several(() => `10.${r.below(255)}.0.0/16`);
    case "method":
      return several(() => r.one(["GET", "POST", "M-SEARCH"]));
    case "parameter":
      return several(() => `${r.one(["tenant", "a b"])}=${r.one(TEXTS)}`);
    case "time":
      return r.below(3) ? [instant(r), instant(r)] : r.below(2) ? [instant(r), ""] : ["", instant(r)];
    default:
      return several(() => r.one(TEXTS));
  }
}

function terms(r: Random): RequestTerm[] {
  const all: RequestTerm[] = [];
  for (const field of REQUEST_FIELDS) {
    if (r.below(6) > 0) continue;
    if (field.name === "agent" && r.below(2))
      all.push({ kind: "term", field: "agent", values: [r.one(TEXTS)], part: true });
    else all.push({ kind: "term", field: field.name, values: values(r, field.values) });
  }
  return all.length > 0 ? all : [{ kind: "term", field: "attack", values: ["xss"] }];
}

function node(r: Random, depth: number): Node {
  const kind = r.below(depth > 3 ? 3 : 6);
  if (kind === 0) {
    const field = r.one(SESSION_FIELDS);
    return { kind: "field", field: field.name, values: values(r, field.values) };
  }
  if (kind === 1) {
    const { by, unit } = r.one(STATISTICS);
    const number = () => (unit === "instant" ? Date.parse(instant(r)) : r.below(1000) + (unit === "ms" ? 0.5 : 0));
    const low = number();
    const shape = r.below(4);
    if (shape === 0) return { kind: "range", by, min: low };
    if (shape === 1) return { kind: "range", by, max: low };
    return { kind: "range", by, min: low, max: shape === 2 ? low : low + 1 + r.below(9) };
  }
  if (kind === 2) return { kind: "request", of: terms(r) };
  if (kind === 3) return { kind: "not", of: node(r, depth + 1) };
  const of = Array.from({ length: 2 + r.below(2) }, () => node(r, depth + 1));
  return kind === 4 ? { kind: "or", of } : { kind: "and", of };
}

test("what is printed parses to what was printed", () => {
  for (let seed = 0; seed < 1000; seed += 1) {
    const r = random(seed);
    const filter: Filter = Array.from({ length: 1 + r.below(4) }, () => node(r, 0));
    const text = print(filter);
    const parsed = parse(text);
    expect(bads(parsed), `${seed}: ${text}`).toEqual([]);
    expect(parsed, `${seed}: ${text}`).toEqual(filter);
    expect(print(parsed), `${seed}`).toBe(text);
    expect(text, `${seed}: nothing in an address steers who reads it`).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  }
});

test("text of any kind never fails, keeps its words and comes to rest", () => {
  const parts = [
    "attack:",
    "sqli",
    "-",
    "(",
    ")",
    "{",
    "}",
    '"',
    "\\",
    ",",
    " ",
    "or ",
    "requests",
    ">=",
    "..",
    "50",
    "4xx",
    "user:",
    "\u202e",
    "~",
    "time:",
    "ip:",
    "/",
  ];
  for (let seed = 0; seed < 2000; seed += 1) {
    const r = random(seed);
    const text = Array.from({ length: r.below(12) }, () => r.one(parts)).join("");
    const once = print(parse(text));
    expect(print(parse(once)), `${seed}: ${JSON.stringify(text)}`).toBe(once);
    for (const bad of bads(parse(text))) {
      expect(text).toContain(bad.text);
      expect(bad.reason).not.toBe("");
    }
  }
});

const AND = (...and: SessionFilter[]): SessionFilter => ({ and });

test.each<[string, SessionFilter | undefined]>([
  ["", undefined],
  ["attack:sqli", { request: { attack: ["sqli"] } }],
  ["attack:sqli,xss", { request: { attack: ["sqli", "xss"] } }],
  ["-user:alice", { not: { request: { user: ["alice"] } } }],
  ["requests>50", { range: [{ by: "REQUESTS", min: 51 }] }],
  ["requests<50", { range: [{ by: "REQUESTS", max: 49 }] }],
  ["requests:10..50", { range: [{ by: "REQUESTS", min: 10, max: 50 }] }],
  ["duration>=5m", { range: [{ by: "DURATION_MS", min: 300_000 }] }],
  ["latency.p95>=0.5", { range: [{ by: "DURATION_P95_MS", min: 0.5 }] }],
  ["blocked:true", { blocked: true }],
  ["blocked>=3", { range: [{ by: "BLOCKED", min: 3 }] }],
  ["{blocked:true}", { request: { blocked: true } }],
  ['{endpoint:"POST /v1/login" status:401}', { request: { endpoint: ["POST /v1/login"], status: [401] } }],
  ["status:4xx,none", { request: { statusClass: ["CLIENT_ERROR", "NO_RESPONSE"] } }],
  ["ip:10.0.0.0/8", { request: { network: ["10.0.0.0/8"] } }],
  ["ip:::1", { request: { ip: ["::1"] } }],
  ["agent~curl", { request: { userAgentContains: "curl" } }],
  ["agent:curl", { request: { userAgent: ["curl"] } }],
  ["param:tenant=a=b", { request: { parameter: [{ name: "tenant", value: "a=b" }] } }],
  ["method:get", { request: { method: ["GET"] } }],
  ["attack:sqli user:bob", AND({ request: { attack: ["sqli"] } }, { request: { user: ["bob"] } })],
  [
    "(attack:sqli or weak:true open:true)",
    { or: [{ request: { attack: ["sqli"] } }, AND({ weak: true }, { open: true })] },
  ],
  ["time:2026-11-25T10:00:00+01:00..", { time: { from: "2026-11-25T09:00:00.000Z" } }],
  ["session:abc.123", { session: ["abc.123"] }],
  ["ATTACK:sqli", { request: { attack: ["sqli"] } }],
])("%s", (text, expected) => {
  expect(bads(parse(text))).toEqual([]);
  expect(toSessionFilter(parse(text))).toEqual(expected);
});

test.each<[string, RegExp]>([
  ["alice", /field is expected/],
  ["colour:red", /no field colour/],
  ["attack:", /value is missing/],
  ['user:"alice', /quote is not closed/],
  ["{attack:sqli", /brace is not closed/],
  ["{}", /braces are empty/],
  ["(attack:sqli", /parenthesis is not closed/],
  ["()", /something is missing/],
  ["status:40x", /status is a number/],
  ["status:404,4xx", /either statuses or classes/],
  ["ip:10.0.0.1,10.0.0.0/8", /either addresses or networks/],
  ["open:maybe", /true or false/],
  ["requests>=many", /no number/],
  ["requests:5", /compared/],
  ["requests>=1.5", /whole number/],
  ["latency.p95>5", /included/],
  ["{requests>=5}", /outside the braces/],
  ["{-attack:sqli}", /put the - before/],
  ["{attack:sqli attack:xss}", /given twice/],
  ["{status:401 nonsense}", /field:value is expected/],
  ["time:yesterday..", /no time/],
  ["param:tenant", /name=value/],
  ["user~alice", /~ is for agent/],
  ['user:"a"b', /space is missing/],
])("%s is bad", (text, reason) => {
  const [bad, ...more] = bads(parse(text));
  expect(more).toEqual([]);
  expect(bad?.reason).toMatch(reason);
  expect(print(parse(text)), "it stays as it was typed").toBe(text);
});

test("a wrong part leaves the others as they are", () => {
  const parsed = parse("attack:sqli nonsense requests>=5");
  expect(parsed.map(({ kind }) => kind)).toEqual(["request", "bad", "range"]);
  expect(() => toSessionFilter(parsed)).toThrow();
});

test("the opposite of the opposite is the same", () => {
  const [one] = parse("attack:sqli");
  if (!one) throw new Error("there is one");
  expect(negate(negate(one))).toEqual(one);
});

test("suggestions are for the word at the caret", () => {
  expect(wordAt("attack:sqli -us", 15)).toEqual({ from: 13, word: "us" });
  expect(wordAt('endpoint:"GET /a', 16)).toEqual({ from: 0, word: 'endpoint:"GET /a' });
  expect(suggest("att", new Map()).map(({ text }) => text)).toEqual(["attack:"]);
  expect(suggest("open:", new Map()).map(({ text }) => text)).toEqual(["open:true", "open:false"]);
  const known = new Map([["endpoint", new Set(["GET /a b"])]]);
  expect(suggest("endpoint:", known).map(({ text }) => text)).toEqual(['endpoint:"GET /a b"']);
  for (const { text } of suggest("", new Map())) expect(text).toMatch(/(:|>=)$/);
});
