// The rows of a live list. Their order is fixed when they are loaded; afterwards cells change in
// place, new matches wait to be asked for, and rows that no longer match stay, greyed.
//
// A plain store beside React: each row is its own snapshot, so an event redraws the rows it changed
// and no other. The server sends at most one event a second.

export interface Row {
  readonly id: string;
  readonly start: string;
  readonly end: string;
  readonly identity: { readonly id: string };
}

export interface Changes<R extends Row> {
  readonly snapshot: boolean;
  readonly truncated: boolean;
  readonly added: readonly R[];
  readonly updated: readonly R[];
  readonly removed: readonly { readonly id: string }[];
}

export interface Entry<R extends Row> {
  /** Stays when the session is given another id, so that focus stays too. */
  readonly key: string;
  readonly row: R;
  /** No longer among what the filter selects. */
  readonly gone: boolean;
  /** Counts changes since the load: what differs from the last is shown as changed. */
  readonly changes: number;
}

/** New matches that are remembered one by one; beyond it only that there are more. */
export const WAITING_MAX = 10_000;

export class LiveSet<R extends Row> {
  #order: readonly string[] = [];
  #entries = new Map<string, Entry<R>>();
  /** The key of an id in the list. */
  #keys = new Map<string, string>();
  #waiting = new Set<string>();
  /** The latest start among the rows that were loaded. */
  #newest = "";
  /** What a pause holds back, as one change; so a long pause takes no more room than the list. */
  #held: Held<R> | null = null;
  #paused = false;
  #listeners = new Set<() => void>();
  #version = 0;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  /** The keys of the rows in their order; the same array until rows are loaded. */
  order = (): readonly string[] => this.#order;
  entry = (key: string): Entry<R> | undefined => this.#entries.get(key);
  /** New matches that wait. */
  waiting = (): number => this.#waiting.size;
  /** Sessions whose changes a pause holds back. */
  held = (): number => (this.#held ? this.#held.added.size + this.#held.updated.size + this.#held.removed.size : 0);
  paused = (): boolean => this.#paused;
  version = (): number => this.#version;

  /** The rows of the pages that are loaded. Those that are there keep their changes and their keys. */
  load(rows: readonly R[], fresh: boolean): void {
    if (fresh) {
      this.#entries.clear();
      this.#keys.clear();
      this.#waiting.clear();
      this.#held = null;
      this.#newest = "";
    }
    const order: string[] = [];
    for (const row of rows) {
      const key = this.#keys.get(row.id) ?? row.id;
      if (!this.#entries.has(key)) {
        this.#entries.set(key, { key, row, gone: false, changes: 0 });
        this.#keys.set(row.id, key);
      }
      this.#waiting.delete(row.id);
      if (row.start > this.#newest) this.#newest = row.start;
      if (!order.includes(key)) order.push(key);
    }
    this.#order = order;
    this.#told();
  }

  pause(): void {
    this.#paused = true;
    this.#told();
  }

  resume(): void {
    this.#paused = false;
    const held = this.#held;
    this.#held = null;
    if (held) {
      const removed = [...held.removed].map((id) => ({ id }));
      this.#apply({ ...held, added: [...held.added.values()], updated: [...held.updated.values()], removed });
    }
    this.#told();
  }

  change(changes: Changes<R>): void {
    if (this.#paused) {
      this.#held = hold(this.#held, changes);
    } else {
      this.#apply(changes);
    }
    this.#told();
  }

  #apply(changes: Changes<R>): void {
    const added = new Map(changes.added.map((row) => [row.id, row]));
    const gone = new Set(changes.removed.map(({ id }) => id));
    if (changes.snapshot && !changes.truncated) {
      for (const id of this.#keys.keys()) if (!added.has(id)) gone.add(id);
      for (const id of this.#waiting) if (!added.has(id)) this.#waiting.delete(id);
    }
    for (const id of gone) {
      this.#waiting.delete(id);
      const key = this.#keys.get(id);
      const entry = key === undefined ? undefined : this.#entries.get(key);
      if (key === undefined || !entry) continue;
      const heir = successor(entry.row, added.values(), this.#keys);
      if (heir) {
        added.delete(heir.id);
        this.#keys.delete(id);
        this.#keys.set(heir.id, key);
        this.#put(key, heir);
      } else if (!entry.gone) {
        this.#entries.set(key, { ...entry, gone: true });
      }
    }
    // A snapshot has rows beyond the pages that are loaded too; only later ones are new.
    const isNew = (row: R) => !changes.snapshot || row.start > this.#newest;
    for (const row of added.values()) this.#one(row, isNew(row));
    for (const row of changes.updated) this.#one(row, false);
  }

  #one(row: R, isNew: boolean): void {
    const key = this.#keys.get(row.id);
    if (key !== undefined) this.#put(key, row);
    else if (isNew && this.#waiting.size < WAITING_MAX) this.#waiting.add(row.id);
  }

  #put(key: string, row: R): void {
    const before = this.#entries.get(key);
    this.#entries.set(key, { key, row, gone: false, changes: (before?.changes ?? 0) + 1 });
  }

  #told(): void {
    this.#version += 1;
    for (const listener of this.#listeners) listener();
  }
}

interface Held<R extends Row> {
  readonly snapshot: boolean;
  readonly truncated: boolean;
  readonly added: Map<string, R>;
  readonly updated: Map<string, R>;
  readonly removed: Set<string>;
}

/** `held`, and then `changes`, as one. A snapshot is the whole state: what was before it is forgotten. */
function hold<R extends Row>(held: Held<R> | null, changes: Changes<R>): Held<R> {
  const { snapshot, truncated } = changes;
  const all =
    held && !snapshot
      ? held
      : { snapshot, truncated, added: new Map(), updated: new Map(), removed: new Set<string>() };
  for (const { id } of changes.removed) {
    all.added.delete(id);
    all.updated.delete(id);
    all.removed.add(id);
  }
  for (const row of changes.added) {
    all.removed.delete(row.id);
    all.updated.delete(row.id);
    all.added.set(row.id, row);
  }
  for (const row of changes.updated) {
    all.removed.delete(row.id);
    (all.added.has(row.id) ? all.added : all.updated).set(row.id, row);
  }
  return all;
}

/** A late request changes where a session begins and so its id: the one of the same identity that
 * overlaps it is the same session. */
function successor<R extends Row>(row: R, among: Iterable<R>, known: ReadonlyMap<string, string>): R | undefined {
  for (const other of among) {
    const same = other.identity.id === row.identity.id && !known.has(other.id);
    if (same && other.start <= row.end && other.end >= row.start) return other;
  }
  return undefined;
}
