// The state of the server, followed while the page can be seen: one feed for the whole console.
import { useSyncExternalStore } from "react";
import { type StateFragment, StatusChangesDocument } from "../api/generated";
import { subscribe } from "../api/socket";

let state: StateFragment | null = null;
let at = 0;
const listeners = new Set<() => void>();
let stop: (() => void) | undefined;

/** A page nobody looks at stops listening after this long, and catches up when it is seen again. */
export const HIDDEN_MS = 60_000;

function begin(): void {
  stop ??= subscribe(StatusChangesDocument, () => ({}), {
    next: ({ statusChanges }) => {
      state = statusChanges;
      at = Date.now();
      for (const listener of listeners) listener();
    },
  });
}

/** Calls `act` with whether the page counts as seen: at once, and whenever that changes. */
export function whileSeen(act: (seen: boolean) => void): () => void {
  let seen = true;
  let timer: ReturnType<typeof setTimeout> | undefined;
  act(true);
  const changed = () => {
    clearTimeout(timer);
    if (!document.hidden) {
      if (!seen) act(true);
      seen = true;
    } else {
      timer = setTimeout(() => {
        seen = false;
        act(false);
      }, HIDDEN_MS);
    }
  };
  document.addEventListener("visibilitychange", changed);
  return () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", changed);
  };
}

export function followStatus(): void {
  whileSeen((seen) => {
    if (seen) begin();
    else {
      stop?.();
      stop = undefined;
    }
  });
}

const store = {
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  get: () => state,
};

export const useStatus = (): StateFragment | null => useSyncExternalStore(store.subscribe, store.get);
export const statusAt = (): number => at;
/** For what needs a part only: redraws when that part changes. */
export function useWatermark(): number {
  return useSyncExternalStore(store.subscribe, () => (state?.watermark ? Date.parse(state.watermark) : 0));
}
