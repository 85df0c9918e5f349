// Between an instant and the clock of a zone, as `datetime-local` fields write it.

/** Milliseconds by which the clock of a zone is ahead of UTC at an instant. */
function offset(at: number, zone: string): number {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
    hourCycle: "h23",
  });
  const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type as string, Number(value)]));
  const get = (type: string) => parts.get(type) ?? 0;
  const clock = Date.UTC(get("year"), get("month") - 1, get("day"), get("hour"), get("minute"), get("second"));
  return clock - Math.floor(at / 1000) * 1000;
}

/** `2026-11-25T20:45:07` on the clock of the zone. */
export function toZoned(instant: string, zone: string): string {
  const at = Date.parse(instant);
  return new Date(at + offset(at, zone)).toISOString().slice(0, 19);
}

/** The instant at which the clock of the zone shows this: the earlier one where it shows it twice,
 * and as if the clock had not been put forward where it never does. */
export function fromZoned(clock: string, zone: string): string {
  const wanted = Date.parse(`${clock}Z`);
  const before = offset(wanted - 86_400_000, zone);
  const after = offset(wanted + 86_400_000, zone);
  for (const ahead of [before, after]) {
    const at = wanted - ahead;
    if (offset(at, zone) === ahead) return new Date(at).toISOString();
  }
  return new Date(wanted - before).toISOString();
}
