// The filter of the requests within a session: the inside of braces, as it stands in the address.
import { parse } from "../../filter/parse";
import { printNode } from "../../filter/print";
import type { RequestTerm } from "../../filter/tree";

/** What does not parse is left out: this filter is made by buttons, not typed. */
export function termsOf(text: string | undefined): RequestTerm[] {
  if (!text) return [];
  const [node] = parse(`{${text}}`);
  return node?.kind === "request" ? node.of.filter((term) => term.kind === "term") : [];
}

export function printTerms(terms: readonly RequestTerm[]): string | undefined {
  if (terms.length === 0) return undefined;
  return terms.map((term) => printNode({ kind: "request", of: [term] }).replace(/^\{(.*)\}$/s, "$1")).join(" ");
}
