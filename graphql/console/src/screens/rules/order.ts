/** `items` with the one at `from` moved to `to`. */
export function moved<T>(items: readonly T[], from: number, to: number): T[] {
  const next = [...items];
  const place = Math.min(Math.max(0, to), items.length - 1);
  const [one] = next.splice(from, 1);
  if (one !== undefined) next.splice(place, 0, one);
  return next;
}

/** What differs between two lists of named things, in words. */
export function differences(
  before: readonly { readonly name: string; readonly form: Readonly<Record<string, string>> }[],
  after: readonly { readonly name: string; readonly form: Readonly<Record<string, string>> }[],
): string[] {
  const old = new Map(before.map((item) => [item.name, item]));
  const now = new Map(after.map((item) => [item.name, item]));
  const found: string[] = [];
  for (const { name } of before) if (!now.has(name)) found.push(`${name}: removed`);
  for (const { name, form } of after) {
    const was = old.get(name);
    if (!was) {
      found.push(`${name}: added`);
      continue;
    }
    for (const [field, value] of Object.entries(form)) {
      if (was.form[field] !== value)
        found.push(`${name}: ${field} was ${was.form[field] || "empty"}, is ${value || "empty"}`);
    }
  }
  const kept = before.map(({ name }) => name).filter((name) => now.has(name));
  const order = after.map(({ name }) => name).filter((name) => old.has(name));
  if (kept.join("\n") !== order.join("\n")) found.push(`order: ${order.join(", ")}`);
  return found;
}
