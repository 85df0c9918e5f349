// Preferences of this browser. They are the only thing that is stored in it.

export type Theme = "system" | "light" | "dark";

export interface Prefs {
  readonly theme: Theme;
  readonly zone: string;
  /** Shortcuts of a single key, which get in the way of speech input. */
  readonly keys: boolean;
}

const KEY = "spoor.preferences";
const DEFAULTS: Prefs = { theme: "system", zone: "UTC", keys: true };

function read(): Prefs {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    if (typeof found !== "object" || found === null) return DEFAULTS;
    const { theme, zone, keys } = found as Partial<Record<keyof Prefs, unknown>>;
    return {
      theme: theme === "light" || theme === "dark" ? theme : "system",
      zone: typeof zone === "string" ? zone : DEFAULTS.zone,
      keys: keys !== false,
    };
  } catch {
    return DEFAULTS;
  }
}

let prefs = read();
const listeners = new Set<() => void>();

export const prefsStore = {
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  get: (): Prefs => prefs,
  set: (change: Partial<Prefs>): void => {
    prefs = { ...prefs, ...change };
    try {
      localStorage.setItem(KEY, JSON.stringify(prefs));
    } catch {
      // A browser that stores nothing keeps them for this page.
    }
    show();
    for (const listener of listeners) listener();
  },
};

/** Applies the theme to the page. */
export function show(): void {
  document.documentElement.style.colorScheme = prefs.theme === "system" ? "light dark" : prefs.theme;
}
