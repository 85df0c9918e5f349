// Numbers, sizes, lengths and instants as text. `Long` of the API is a number, or digits in a string.
import { createContext, useContext, useMemo } from "react";

export type Long = number | string;

const LOCALE = "en-GB";
const whole = new Intl.NumberFormat(LOCALE);
const short = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 1 });

export const count = (value: Long): string => whole.format(typeof value === "string" ? BigInt(value) : value);
export const compact = (value: Long): string => short.format(typeof value === "string" ? BigInt(value) : value);
export const share = (value: number): string => percent.format(value);
/** For arithmetic that is only shown: beyond 2^53 the last digits do not matter. */
export const toNumber = (value: Long | null | undefined): number => Number(value ?? 0);

export function bytes(value: Long): string {
  let size = Number(value);
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size >= 100 || unit === 0 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** A length of time, in the two greatest units that matter. */
export function length(ms: number): string {
  if (ms < 1) return ms === 0 ? "0" : `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export interface Times {
  readonly zone: string;
  /** `2026-11-25 20:45:07` */
  readonly full: (at: string | number) => string;
  /** With milliseconds. */
  readonly exact: (at: string | number) => string;
  /** `20:45:07` on the day of `now`, with the day otherwise. */
  readonly near: (at: string | number, now?: number) => string;
  /** `20:45` */
  readonly minute: (at: string | number) => string;
  readonly day: (at: string | number) => string;
}

export function timesIn(zone: string): Times {
  const options = {
    timeZone: zone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: 3,
    hourCycle: "h23",
  } as const;
  const format = new Intl.DateTimeFormat("en-CA", options);
  const parts = (at: string | number) => {
    const found = new Map<string, string>(format.formatToParts(new Date(at)).map(({ type, value }) => [type, value]));
    const get = (type: string) => found.get(type) ?? "";
    const day = `${get("year")}-${get("month")}-${get("day")}`;
    return { day, minute: `${get("hour")}:${get("minute")}`, second: get("second"), ms: get("fractionalSecond") };
  };
  const full = (at: string | number) => {
    const { day, minute, second } = parts(at);
    return `${day} ${minute}:${second}`;
  };
  return {
    zone,
    full,
    exact: (at) => {
      const { day, minute, second, ms } = parts(at);
      return `${day} ${minute}:${second}.${ms}`;
    },
    near: (at, now = Date.now()) => {
      const { day, minute, second } = parts(at);
      return day === parts(now).day ? `${minute}:${second}` : `${day.slice(5)} ${minute}:${second}`;
    },
    minute: (at) => parts(at).minute,
    day: (at) => parts(at).day,
  };
}

export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export const browserZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export const ZoneContext = createContext("UTC");

/** Instants in the zone that is chosen. */
export function useTimes(): Times {
  const zone = useContext(ZoneContext);
  return useMemo(() => timesIn(zone), [zone]);
}
