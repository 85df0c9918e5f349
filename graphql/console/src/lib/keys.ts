// Shortcuts. A key does nothing while something is typed, or with a modifier held.
import { useEffect, useRef } from "react";
import { prefsStore } from "./prefs";

export type Keys = Readonly<Record<string, (event: KeyboardEvent) => void>>;

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select"));

const inDialog = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest("dialog") !== null;

let prefix = "";
let prefixAt = 0;

/** Keys as `event.key` names them; `g s` is `g`, then `s`. Within a dialog none works but its own. */
export function useKeys(keys: Keys, active = true): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    if (!active) return;
    const handle = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (typing(event.target) || inDialog(event.target)) return;
      if (event.key.length === 1 && !prefsStore.get().keys) return;
      const named = Date.now() - prefixAt < 1500 && prefix ? `${prefix} ${event.key}` : event.key;
      const act = latest.current[named] ?? latest.current[event.key];
      if (!act) return;
      event.preventDefault();
      act(event);
    };
    window.addEventListener("keydown", handle);
    return () => window.removeEventListener("keydown", handle);
  }, [active]);
}

/** Remembers the first of two keys; to be called once. */
export function watchPrefix(): void {
  window.addEventListener(
    "keydown",
    (event) => {
      if (typing(event.target) || event.key.length !== 1) return;
      const second = prefix !== "" && Date.now() - prefixAt < 1500;
      if (event.key === "g" && !second) {
        prefix = "g";
        prefixAt = Date.now();
      } else if (second) {
        // This key is the second one: what listens after this sees the prefix, the next key does not.
        setTimeout(() => {
          prefix = "";
        });
      }
    },
    true,
  );
}
