// The pages of a list of sessions and the feed that keeps them current.
import { keepPreviousData, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { ask } from "../../api/client";
import { SessionChangesDocument, type SessionFilter, SessionsDocument, type SessionsQuery } from "../../api/generated";
import { subscribe } from "../../api/socket";
import { toSessionFilter } from "../../filter/api";
import type { Filter } from "../../filter/tree";
import { resolve } from "../../lib/range";
import { controlStore } from "../../live/control";
import { LiveSet } from "../../live/liveSet";
import { whileSeen } from "../../live/status";
import { announce } from "../../ui/announce";
import type { SessionRow } from "./columns";
import { orderOf } from "./columns";

/** Changes in one event, above which a feed of everything is too much for a page. Such an event counts
 * two, a calm one takes one back; at this sum only the rows that are shown are followed. */
const BUSY = 400;
const BUSY_SUM = 5;
/** Rows that are followed then. */
const FOLLOWED = 200;

/** Sessions of a page. */
export const PAGE = 100;

type Sessions = NonNullable<SessionsQuery["sessions"]>;
export interface Page extends Sessions {
  /** With the range as of the load, so that all pages and the feed mean the same. */
  readonly asked: SessionFilter | undefined;
}

export interface Asked {
  readonly text: string;
  readonly filter: Filter;
  readonly range: string;
  readonly sort: string | undefined;
  /** Whether the filter and the range can be asked. */
  readonly valid: boolean;
}

export async function readPage(
  asked: SessionFilter | undefined,
  sort: string | undefined,
  after: string | null,
  first: number,
  signal?: AbortSignal,
): Promise<Page> {
  const { column, descending } = orderOf(sort);
  const data = await ask(
    SessionsDocument,
    {
      filter: asked ?? null,
      orderBy: { by: column.by ?? "START", direction: descending ? "DESC" : "ASC" },
      first,
      after,
    },
    signal,
  );
  if (!data.sessions) throw new Error("an answer without sessions");
  return { ...data.sessions, asked };
}

export function useSessions({ text, filter, range, sort, valid }: Asked) {
  const queries = useQueryClient();
  const [set] = useState(() => new LiveSet<SessionRow>());
  const key = useMemo(() => ["sessions", text, range, sort ?? ""], [text, range, sort]);
  const begin = useCallback(() => toSessionFilter(filter, resolve(range, Date.now()) ?? {}), [filter, range]);

  const query = useInfiniteQuery({
    queryKey: key,
    enabled: valid,
    placeholderData: keepPreviousData,
    initialPageParam: null as { after: string | null; asked: SessionFilter | undefined } | null,
    queryFn: ({ pageParam, signal }) =>
      readPage(pageParam ? pageParam.asked : begin(), sort, pageParam?.after ?? null, PAGE, signal),
    getNextPageParam: (last: Page) =>
      last.pageInfo.hasNextPage ? { after: last.pageInfo.endCursor, asked: last.asked } : undefined,
  });

  // What is shown: the rows of the last answer, until another one is there.
  const pages = query.isPlaceholderData ? undefined : query.data?.pages;
  const first = pages?.[0];
  const [shown, setShown] = useState<Page | undefined>();
  useEffect(() => {
    if (!pages || !first) return;
    set.load(
      pages.flatMap((page) => page.nodes),
      first !== shown,
    );
    setShown(first);
  }, [pages, first, shown, set]);

  const { paused } = useSyncExternalStore(controlStore.subscribe, controlStore.get);
  useEffect(() => {
    if (paused) set.pause();
    else set.resume();
  }, [paused, set]);
  useEffect(() => set.subscribe(() => controlStore.set({ held: set.held() })), [set]);

  // Whether all that match are followed, or so much changes that only the rows that are shown are.
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (!first) return;
    let since: string | null = first.epochToken;
    let stop: (() => void) | undefined;
    let sum = 0;
    let told = false;
    let some = false;
    setBusy(false);
    const followed = (): SessionFilter | null => {
      if (!some) return first.asked ?? null;
      const session = set
        .order()
        .slice(0, FOLLOWED)
        .flatMap((row) => set.entry(row)?.row.id ?? []);
      return first.asked ? { and: [first.asked, { session }] } : { session };
    };
    const follow = () => {
      stop?.();
      stop = subscribe(
        SessionChangesDocument,
        () => ({ filter: followed(), since, snapshot: some ? FOLLOWED : PAGE, intervalMs: 1000 }),
        {
          next: ({ sessionChanges }) => {
            since = sessionChanges.epochToken;
            const before = set.waiting();
            set.change(some ? { ...sessionChanges, truncated: true } : sessionChanges);
            if (set.waiting() > before) announce(`${set.waiting()} new sessions`);
            // A snapshot after other events: this page could not keep up.
            const changed = sessionChanges.added.length + sessionChanges.updated.length;
            const many = sessionChanges.snapshot ? told : changed > BUSY;
            told = true;
            sum = Math.max(0, sum + (many ? 2 : -1));
            if (sum >= BUSY_SUM && !some) {
              some = true;
              setBusy(true);
              follow();
            }
          },
          refused: (error) => {
            if (error.code === "UNKNOWN_EPOCH") since = null;
          },
        },
      );
    };
    const done = whileSeen((seen) => {
      if (seen) follow();
      else {
        stop?.();
        stop = undefined;
      }
    });
    return () => {
      done();
      stop?.();
    };
  }, [first, set]);

  /** Reads the list anew, and shows it when it is there. */
  const reload = useCallback(async () => {
    const page = await readPage(begin(), sort, null, PAGE);
    queries.setQueryData(key, { pages: [page], pageParams: [null] });
  }, [begin, sort, queries, key]);

  return { set, query, reload, first, busy };
}
