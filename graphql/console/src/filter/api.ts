// From the tree of a filter to `SessionFilter` and `RequestFilter` of the API.
import type { RequestFilter, SessionFilter, StatusClass } from "../api/generated";
import { CLASSES } from "./fields";
import type { Filter, Node, RequestTerm } from "./tree";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const span = (values: readonly string[]) => {
  const range: { from?: string; until?: string } = {};
  if (values[0]) range.from = values[0];
  if (values[1]) range.until = values[1];
  return range;
};

/** What one and the same request must be. A filter with a bad part has no meaning: do not ask. */
export function requestFilter(terms: readonly RequestTerm[]): RequestFilter {
  const filter: Mutable<RequestFilter> = {};
  for (const { field, values, part } of terms) {
    switch (field) {
      case "id":
        filter.ids = [...values];
        break;
      case "status": {
        const classes = values.flatMap((value): StatusClass[] => {
          const found = CLASSES.get(value as never);
          return found === undefined ? [] : [found];
        });
        if (classes.length > 0) filter.statusClass = classes;
        else filter.status = values.map(Number);
        break;
      }
      case "ip":
        if (values[0]?.includes("/")) filter.network = [...values];
        else filter.ip = [...values];
        break;
      case "agent":
        if (part) filter.userAgentContains = values[0] ?? "";
        else filter.userAgent = [...values];
        break;
      case "param": {
        const all = values.map((value) => {
          const at = value.indexOf("=");
          return { name: value.slice(0, at), value: value.slice(at + 1) };
        });
        filter.parameter = [...(filter.parameter ?? []), ...all];
        break;
      }
      case "malicious":
      case "blocked":
        filter[field] = values[0] === "true";
        break;
      case "time":
        filter.time = span(values);
        break;
      default:
        filter[field] = [...values];
    }
  }
  return filter;
}

function sessionFilter(node: Node): SessionFilter {
  switch (node.kind) {
    case "and":
    case "or":
      return { [node.kind]: node.of.map(sessionFilter) };
    case "not":
      return { not: sessionFilter(node.of) };
    case "range": {
      const range: { by: typeof node.by; min?: number; max?: number } = { by: node.by };
      if (node.min !== undefined) range.min = node.min;
      if (node.max !== undefined) range.max = node.max;
      return { range: [range] };
    }
    case "request":
      return { request: requestFilter(node.of.filter((term) => term.kind === "term")) };
    case "field":
      if (node.field === "time") return { time: span(node.values) };
      if (node.field === "open" || node.field === "weak" || node.field === "malicious" || node.field === "blocked") {
        return { [node.field]: node.values[0] === "true" };
      }
      return { [node.field]: [...node.values] };
    case "bad":
      throw new Error("a filter that does not parse cannot be asked");
  }
}

/** Nothing when there is no condition. */
export function toSessionFilter(filter: Filter, time?: { from?: string; until?: string }): SessionFilter | undefined {
  const all = filter.map(sessionFilter);
  if (time && (time.from || time.until)) all.push({ time });
  return all.length > 1 ? { and: all } : all[0];
}
