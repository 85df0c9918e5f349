// What hostile data becomes before a reader, a spreadsheet, a shell or a JSON parser meets it.
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { csv, jsonLines, numberCell, textCell } from "../../src/lib/csv";
import { bytes, count, length, timesIn } from "../../src/lib/format";
import { indented } from "../../src/lib/json";
import { frozen, previous, resolve } from "../../src/lib/range";
import { plain, runs } from "../../src/lib/text";
import { fromZoned, toZoned } from "../../src/lib/zoned";
import { readSpan, span } from "../../src/screens/rules/kinds";
import { differences, moved } from "../../src/screens/rules/order";
import { quoted } from "../../src/screens/session/curl";
import { fold } from "../../src/screens/session/fold";
import { random } from "./random";

const HOSTILE = [
  "\u202egnp.exe",
  "\u2066isolate\u2069",
  "\u0000nul\u001b[31mred",
  "zero\u200bwidth\ufeff",
  "line\r\nbreak\ttab",
  "\u{e0041}tag",
  "<script>alert(1)</script>",
  "=cmd|' /C calc'!A0",
  "+1",
  "-1+1",
  "@SUM(1)",
  "\t=1",
  '"quoted", and more',
  "it's $(id) `id` \\x41 !!",
  "",
];

test("nothing that steers a reader is left, and nothing else is touched", () => {
  for (const text of HOSTILE) {
    expect(plain(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    const all = runs(text);
    expect(all.map((run) => run.text).join("")).toBe(plain(text));
    for (const run of all) expect(run.steers).toBe(/^\\u\{[0-9a-f]+\}$/.test(run.text));
  }
  expect(plain("é 漢字 😀 العربية")).toBe("é 漢字 😀 العربية");
  expect(runs("a\nb\u0007", true)).toEqual([
    { text: "a\nb", steers: false },
    { text: "\\u{7}", steers: true },
  ]);
});

/** A reader of RFC 4180. */
function read(text: string): string[][] {
  const rows: string[][] = [[]];
  let cell = "";
  let open = false;
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i];
    if (open) {
      if (c === '"' && text[i + 1] === '"') {
        cell += '"';
        i += 1;
      } else if (c === '"') open = false;
      else cell += c;
    } else if (c === '"') open = true;
    else if (c === ",") {
      rows.at(-1)?.push(cell);
      cell = "";
    } else if (c === "\r" && text[i + 1] === "\n") {
      rows.at(-1)?.push(cell);
      cell = "";
      rows.push([]);
      i += 1;
    } else cell += c;
  }
  rows.pop();
  return rows;
}

test("a cell is what was written, and no spreadsheet runs it", () => {
  const columns = [
    { name: "text", cell: (row: string) => textCell(row) },
    { name: "again", cell: (row: string) => textCell(row) },
  ];
  const rows = read(csv(columns, HOSTILE));
  expect(rows[0]).toEqual(["text", "again"]);
  expect(rows.length).toBe(HOSTILE.length + 1);
  HOSTILE.forEach((text, at) => {
    const cell = rows[at + 1]?.[0] ?? "";
    expect(cell).not.toMatch(/^[=+\-@\t\r]/);
    expect(cell.replace(/^'/, "")).toBe(text);
    expect(rows[at + 1]?.[1]).toBe(cell);
  });
});

test("numbers stay numbers, and what is none becomes text", () => {
  expect(numberCell(-5)).toBe("-5");
  expect(numberCell("9007199254740993")).toBe("9007199254740993");
  expect(numberCell(1.5)).toBe("1.5");
  expect(numberCell(null)).toBe("");
  expect(numberCell("-1+cmd")).toBe("'-1+cmd");
  const lines = jsonLines([{ a: "\n" }, { b: 1 }]);
  expect(lines.split("\n").length).toBe(3);
});

test("a shell takes each word of a copied command as it is", () => {
  for (const text of HOSTILE.filter((one) => !one.includes("\u0000"))) {
    const got = execFileSync("bash", ["-c", `printf %s ${quoted(text)}`], { encoding: "utf8" });
    expect(got).toBe(text);
  }
});

test("JSON is indented without a value changing", () => {
  for (const text of [
    '{"a":[1,{"b":"x:{,}\\""}],"c":{},"d":[]}',
    "[]",
    '"text"',
    "12345678901234567890.10",
    '{ "a" : [ ] }',
  ]) {
    const shown = indented(text);
    expect(shown.replaceAll(/\s/g, "")).toBe(text.replaceAll(/\s/g, ""));
    expect(JSON.parse(shown)).toEqual(JSON.parse(text));
  }
  expect(indented('{"a":1,"b":[2]}')).toBe('{\n  "a": 1,\n  "b": [\n    2\n  ]\n}');
});

test("instants are shown in a zone, also where the clock is changed", () => {
  const berlin = timesIn("Europe/Berlin");
  expect(berlin.full("2026-03-29T00:59:59Z")).toBe("2026-03-29 01:59:59");
  expect(berlin.full("2026-03-29T01:00:00Z")).toBe("2026-03-29 03:00:00");
  expect(berlin.exact("2026-10-25T00:30:00.250Z")).toBe("2026-10-25 02:30:00.250");
  expect(berlin.full("2026-10-25T01:30:00Z")).toBe("2026-10-25 02:30:00");
  expect(timesIn("UTC").near("2026-11-25T23:59:59Z", Date.parse("2026-11-26T00:00:00Z"))).toBe("11-25 23:59:59");
});

test("what is typed in a zone is the instant it names", () => {
  const r = random(1);
  for (const zone of ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]) {
    for (let i = 0; i < 300; i += 1) {
      const instant = new Date(1_790_000_000_000 + r.below(31_536_000) * 1000).toISOString();
      const typed = toZoned(instant, zone);
      expect(toZoned(fromZoned(typed, zone), zone), `${zone} ${instant}`).toBe(typed);
    }
  }
  expect(fromZoned("2026-10-25T02:30:00", "Europe/Berlin"), "the first of two").toBe("2026-10-25T00:30:00.000Z");
  expect(fromZoned("2026-03-29T02:30:00", "Europe/Berlin"), "never shown").toBe("2026-03-29T01:30:00.000Z");
});

test("ranges", () => {
  const now = Date.parse("2026-11-25T20:00:00Z");
  expect(resolve("all", now)).toEqual({});
  expect(resolve("-1h..now", now)).toEqual({ from: "2026-11-25T19:00:00.000Z" });
  expect(resolve("2026-11-25T10:00:00Z..", now)).toEqual({ from: "2026-11-25T10:00:00.000Z" });
  for (const bad of ["", "..", "yesterday", "-1y..now", "a..b", "1..2..3", "2026-11-25..2026-11-26"]) {
    expect(resolve(bad, now), bad).toBeNull();
  }
  expect(resolve(frozen("-1h..now", now), now + 9e6)).toEqual({
    from: "2026-11-25T19:00:00.000Z",
    until: "2026-11-25T20:00:00.000Z",
  });
  expect(previous({ from: "2026-11-25T19:00:00.000Z" }, now)).toEqual({
    from: "2026-11-25T18:00:00.000Z",
    until: "2026-11-25T19:00:00.000Z",
  });
});

test("numbers beyond 2^53 keep their digits", () => {
  expect(count("9007199254740993")).toBe("9,007,199,254,740,993");
  expect(bytes(1536)).toBe("1.5 KiB");
  expect([length(0), length(0.25), length(999), length(61_000), length(3_600_000)]).toEqual([
    "0",
    "0.25 ms",
    "999 ms",
    "1 m 01 s",
    "1 h 00 m",
  ]);
});

test("equal neighbours fold, and unfold in their places", () => {
  const row = (id: number, endpoint: string, attacks: string[] = []) =>
    ({
      id: String(id),
      requestId: String(id),
      endpoint,
      status: 404,
      blocked: false,
      attacks: attacks.map((type) => ({ type })),
    }) as never;
  const rows = [row(1, "a"), row(2, "b"), row(3, "b"), row(4, "b"), row(5, "b", ["xss"]), row(6, "c"), row(7, "c")];
  const folded = fold(rows, new Set());
  expect(folded.map(({ key, others }) => [key, others.length])).toEqual([
    ["1", 0],
    ["2", 2],
    ["5", 0],
    ["6", 0],
    ["7", 0],
  ]);
  expect(fold(rows, new Set(["2"])).map(({ place }) => place)).toEqual([1, 2, 3, 4, 5, 6, 7]);
});

test("orders, differences and lengths of rules", () => {
  expect(moved(["a", "b", "c"], 0, 2)).toEqual(["b", "c", "a"]);
  expect(moved(["a", "b", "c"], 2, -5)).toEqual(["c", "a", "b"]);
  const item = (name: string, value: string) => ({ name, form: { value } });
  expect(
    differences([item("a", "1"), item("b", "1"), item("c", "1")], [item("b", "2"), item("a", "1"), item("d", "1")]),
  ).toEqual(["c: removed", "b: value was 1, is 2", "d: added", "order: b, a"]);
  for (const text of ["30m", "8h", "500ms", "5s", "2d"]) expect(span(readSpan(text, "gap"))).toBe(text);
  expect(() => readSpan("soon", "gap")).toThrow();
});
