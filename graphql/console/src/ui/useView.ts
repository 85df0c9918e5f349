// What is chosen on a screen, from its address.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";
import type { Search } from "../router";

export const useView = (): Search => useSearch({ strict: false }) as Search;

/** Changes parts of the address of the screen that is shown; `undefined` takes one out. */
export function useChangeView(): (change: { [K in keyof Search]?: string | undefined }, replace?: boolean) => void {
  const navigate = useNavigate();
  return useCallback(
    (change, replace = false) => {
      void navigate({
        to: ".",
        replace,
        search: (before: Search) => {
          const next: Record<string, string> = {};
          for (const [name, value] of Object.entries({ ...before, ...change })) {
            if (value !== undefined && value !== "") next[name] = value;
          }
          return next as Search;
        },
      });
    },
    [navigate],
  );
}
