// From the tree of a filter to its text, in one canonical way: `parse(print(tree))` is `tree`.
import { escapes } from "../lib/text";
import { statisticOf } from "./fields";
import type { Filter, Node, RequestTerm } from "./tree";

/** Fields that mean something else outside braces. */
const OF_BOTH = new Set(["malicious", "blocked", "time"]);

const BARE = /^[^\s"(){},\\]+$/;

export function printValue(value: string): string {
  if (BARE.test(value) && !escapes(value)) return value;
  let text = "";
  for (const c of value) {
    const point = c.codePointAt(0) ?? 0;
    if (c === '"' || c === "\\") text += `\\${c}`;
    else if (escapes(c)) text += `\\u{${point.toString(16)}}`;
    else text += c;
  }
  return `"${text}"`;
}

const timeText = (values: readonly string[]) => `${values[0] ?? ""}..${values[1] ?? ""}`;

function printTerm(term: RequestTerm): string {
  if (term.field === "time") return `time:${timeText(term.values)}`;
  return `${term.field}${term.part ? "~" : ":"}${term.values.map(printValue).join(",")}`;
}

function printNumber(value: number, node: Node & { kind: "range" }): string {
  return statisticOf(node.by).unit === "instant" ? new Date(value).toISOString() : String(value);
}

export function printNode(node: Node): string {
  switch (node.kind) {
    case "and":
      return `(${node.of.map(printNode).join(" ")})`;
    case "or":
      return `(${node.of.map((one) => (one.kind === "and" ? one.of.map(printNode).join(" ") : printNode(one))).join(" or ")})`;
    case "not":
      return `-${printNode(node.of)}`;
    case "field":
      return node.field === "time"
        ? `time:${timeText(node.values)}`
        : `${node.field}:${node.values.map(printValue).join(",")}`;
    case "range": {
      const { name } = statisticOf(node.by);
      const { min, max } = node;
      if (min !== undefined && max !== undefined) {
        if (min === max) return `${name}=${printNumber(min, node)}`;
        return `${name}:${printNumber(min, node)}..${printNumber(max, node)}`;
      }
      return min !== undefined ? `${name}>=${printNumber(min, node)}` : `${name}<=${printNumber(max ?? 0, node)}`;
    }
    case "request": {
      const [first] = node.of;
      if (node.of.length === 1 && first?.kind === "term" && !OF_BOTH.has(first.field)) return printTerm(first);
      return `{${node.of.map((term) => (term.kind === "bad" ? term.text : printTerm(term))).join(" ")}}`;
    }
    case "bad":
      return node.text;
  }
}

export const print = (filter: Filter): string => filter.map(printNode).join(" ");
