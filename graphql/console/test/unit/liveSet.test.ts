// A live list against a model that is too simple to be wrong: a map of what the server has.
import { expect, test } from "vitest";
import { type Changes, LiveSet, type Row } from "../../src/live/liveSet";
import { random } from "./random";

interface Session extends Row {
  readonly requests: number;
}

const at = (time: number) => new Date(1_700_000_000_000 + time * 1000).toISOString();
const session = (who: number, start: number, end: number, requests: number): Session => ({
  id: `${who}.${start}`,
  start: at(start),
  end: at(end),
  identity: { id: String(who) },
  requests,
});
const nothing: Changes<Session> = { snapshot: false, truncated: false, added: [], updated: [], removed: [] };
const shown = (set: LiveSet<Session>) => set.order().map((key) => set.entry(key));

test("whatever happens, the order stays, rows are the latest, and what is gone is told", () => {
  for (let seed = 0; seed < 150; seed += 1) {
    const r = random(seed);
    const server = new Map<string, Session>();
    for (let who = 0; who < 12; who += 1) {
      const one = session(who, 100 + who, 200 + who, 1);
      server.set(one.id, one);
    }
    const loaded = [...server.values()].slice(0, 8);
    const outside = new Set([...server.keys()].slice(8));
    const fresh = new Set<string>();
    const set = new LiveSet<Session>();
    set.load(loaded, true);
    const order = set.order();
    let clock = 300;
    let paused = false;
    for (let step = 0; step < 30; step += 1) {
      clock += 1;
      const all = [...server.values()];
      const kind = r.below(6);
      if (kind === 0) {
        const one = session(100 + step, clock, clock, 1);
        server.set(one.id, one);
        fresh.add(one.id);
        set.change({ ...nothing, added: [one] });
      } else if (kind === 1 && all.length > 0) {
        const old = r.one(all);
        const one = { ...old, end: at(clock), requests: old.requests + 1 };
        server.set(one.id, one);
        set.change({ ...nothing, updated: [one] });
      } else if (kind === 2 && all.length > 0) {
        const one = r.one(all);
        server.delete(one.id);
        fresh.delete(one.id);
        set.change({ ...nothing, removed: [one] });
      } else if (kind === 3 && all.length > 0) {
        // A late request: the session begins earlier and has another id.
        const old = r.one(all);
        const start = (Date.parse(old.start) - 1_700_000_000_000) / 1000 - 1;
        const one = { ...session(Number(old.identity.id), start, start, old.requests + 1), end: old.end };
        if (server.has(one.id)) continue;
        server.delete(old.id);
        server.set(one.id, one);
        if (fresh.delete(old.id)) fresh.add(one.id);
        if (outside.delete(old.id)) outside.add(one.id);
        set.change({ ...nothing, added: [one], removed: [old] });
      } else if (kind === 4) {
        paused = !paused;
        if (paused) set.pause();
        else set.resume();
      } else {
        set.change({ ...nothing, snapshot: true, added: [...server.values()] });
      }
      expect(set.order(), `${seed}: nothing moves`).toBe(order);
      if (!paused) {
        for (const entry of shown(set)) {
          if (!entry) throw new Error("each key has an entry");
          const now = server.get(entry.row.id);
          expect(entry.gone, `${seed} ${step}: ${entry.row.id}`).toBe(now === undefined);
          if (now) expect(entry.row, `${seed} ${step}`).toEqual(now);
        }
        expect(set.held()).toBe(0);
        // What comes into being and is told as new waits; sessions beyond the pages do only if they
        // were told as new, by another id.
        for (const id of fresh) expect(set.entry(id), `${seed}: ${id} waits`).toBeUndefined();
        expect(set.waiting()).toBeGreaterThanOrEqual(fresh.size);
        expect(set.waiting()).toBeLessThanOrEqual(fresh.size + outside.size);
      }
    }
  }
});

test("a session with another id keeps its place and its key", () => {
  const set = new LiveSet<Session>();
  set.load([session(1, 100, 200, 5), session(2, 90, 100, 1)], true);
  const [key] = set.order();
  set.change({ ...nothing, removed: [{ id: "1.100" }], added: [session(1, 95, 200, 6)] });
  expect(set.order()[0]).toBe(key);
  expect(set.entry(key ?? "")).toMatchObject({ gone: false, row: { id: "1.95", requests: 6 } });
  expect(set.waiting()).toBe(0);
});

test("another session of the same identity is new", () => {
  const set = new LiveSet<Session>();
  set.load([session(1, 100, 200, 5)], true);
  set.change({ ...nothing, removed: [{ id: "1.100" }], added: [session(1, 900, 900, 1)] });
  expect(set.entry("1.100")).toMatchObject({ gone: true });
  expect(set.waiting()).toBe(1);
});

test("a pause holds everything back and loses nothing", () => {
  const set = new LiveSet<Session>();
  set.load([session(1, 100, 200, 1)], true);
  set.pause();
  set.change({ ...nothing, updated: [session(1, 100, 210, 2)] });
  set.change({ ...nothing, added: [session(2, 300, 300, 1)] });
  set.change({ ...nothing, updated: [session(1, 100, 220, 3)] });
  expect(set.held()).toBe(2);
  expect(set.entry("1.100")?.row.requests).toBe(1);
  expect(set.waiting()).toBe(0);
  set.resume();
  expect(set.held()).toBe(0);
  expect(set.entry("1.100")?.row.requests).toBe(3);
  expect(set.waiting()).toBe(1);
});

test("rows of a snapshot that are older than the pages are not new", () => {
  const set = new LiveSet<Session>();
  set.load([session(1, 100, 200, 1)], true);
  set.change({
    ...nothing,
    snapshot: true,
    truncated: true,
    added: [session(1, 100, 200, 1), session(2, 50, 60, 1), session(3, 400, 400, 1)],
  });
  expect(set.waiting()).toBe(1);
});

test("what is shown is told once it changes, and a load shows what waited", () => {
  const set = new LiveSet<Session>();
  set.load([session(1, 100, 200, 1)], true);
  let told = 0;
  const stop = set.subscribe(() => {
    told += 1;
  });
  set.change({ ...nothing, added: [session(2, 300, 300, 1)] });
  expect(told).toBe(1);
  set.load([session(2, 300, 300, 1), session(1, 100, 200, 1)], true);
  expect(set.order()).toEqual(["2.300", "1.100"]);
  expect(set.waiting()).toBe(0);
  stop();
  set.change({ ...nothing, added: [session(3, 301, 301, 1)] });
  expect(told).toBe(2);
});
