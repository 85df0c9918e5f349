// Subscriptions: one WebSocket for the page, opened with the first and closed after the last.
//
// A subscription that ends is begun again, later and later, with variables that are made anew: so a
// feed resumes from the last epoch it saw. The state of the connection is a store for the live control.
import { createClient } from "graphql-ws";
import { ApiError, errorOf } from "./client";
import type { Document } from "./document";

export type Connection =
  | { readonly kind: "idle" | "connecting" | "live" }
  | { readonly kind: "lost"; readonly since: number; readonly retryAt: number };

let connection: Connection = { kind: "idle" };
const listeners = new Set<() => void>();

function set(next: Connection): void {
  connection = next;
  for (const listener of listeners) listener();
}

export const connectionStore = {
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  get: (): Connection => connection,
};

const RETRY_FIRST = 500;
const RETRY_MAX = 15_000;

let lostSince: number | null = null;

function lost(retryAt: number): void {
  lostSince ??= Date.now();
  set({ kind: "lost", since: lostSince, retryAt });
}

const client = createClient({
  url: () => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/graphql`,
  lazy: true,
  retryAttempts: 0,
  keepAlive: 12_000,
  on: {
    connecting: () => {
      if (lostSince === null) set({ kind: "connecting" });
    },
    connected: () => {
      lostSince = null;
      set({ kind: "live" });
    },
  },
});

/** Retries now rather than at the time that was set. */
const wakes = new Set<() => void>();
export const retryNow = (): void => {
  for (const wake of [...wakes]) wake();
};

export interface Sink<Result> {
  next: (result: Result) => void;
  /** The subscription was refused; it is tried again all the same. */
  refused?: (error: ApiError) => void;
}

/** Begins a subscription; what is returned ends it. */
export function subscribe<Result, Variables extends object>(
  document: Document<Result, Variables>,
  variables: () => Variables,
  sink: Sink<Result>,
): () => void {
  let ended = false;
  let stop: () => void = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = RETRY_FIRST;

  const begin = () => {
    timer = undefined;
    wakes.delete(begin);
    if (ended) return;
    stop = client.subscribe<Result>(
      { query: document.text, operationName: document.name, variables: variables() as Record<string, unknown> },
      {
        next: ({ data, errors }) => {
          if (errors?.length) {
            sink.refused?.(errorOf(errors as never));
            return;
          }
          wait = RETRY_FIRST;
          if (data && !ended) sink.next(data);
        },
        error: (error) => {
          if (Array.isArray(error)) sink.refused?.(errorOf(error as never));
          again();
        },
        complete: again,
      },
    );
  };
  const again = () => {
    if (ended || timer !== undefined) return;
    // Apart from one another, so that many pages do not come back at once.
    const delay = wait * (0.75 + Math.random() / 2);
    wait = Math.min(wait * 2, RETRY_MAX);
    lost(Date.now() + delay);
    wakes.add(begin);
    timer = setTimeout(begin, delay);
  };
  const wake = begin;
  begin();
  return () => {
    ended = true;
    clearTimeout(timer);
    wakes.delete(wake);
    stop();
    if (wakes.size === 0 && connection.kind === "lost") lostSince = null;
  };
}

export { ApiError };
