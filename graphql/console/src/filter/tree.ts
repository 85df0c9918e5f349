// The tree of a filter. Its text and its chips are two views of it; `parse` and `print` go between.
import type { SessionStatistic } from "../api/generated";
import type { RequestField, SessionField } from "./fields";

/** Text that does not parse. It stays where it was typed, and nothing is asked until it is mended. */
export interface Bad {
  readonly kind: "bad";
  readonly text: string;
  readonly reason: string;
}

/** One field of a request; `part` means that the value need only be contained. */
export interface RequestTerm {
  readonly kind: "term";
  readonly field: RequestField;
  readonly values: readonly string[];
  readonly part?: true;
}

export type Node =
  | { readonly kind: "and"; readonly of: readonly Node[] }
  | { readonly kind: "or"; readonly of: readonly Node[] }
  | { readonly kind: "not"; readonly of: Node }
  | { readonly kind: "field"; readonly field: SessionField; readonly values: readonly string[] }
  | { readonly kind: "range"; readonly by: SessionStatistic; readonly min?: number; readonly max?: number }
  | { readonly kind: "request"; readonly of: readonly (RequestTerm | Bad)[] }
  | Bad;

/** All of these hold. */
export type Filter = readonly Node[];

/** What does not parse, wherever it is. */
export function bads(filter: Filter): Bad[] {
  return filter.flatMap((node): Bad[] => {
    switch (node.kind) {
      case "and":
      case "or":
        return bads(node.of);
      case "not":
        return bads([node.of]);
      case "request":
        return node.of.filter((term) => term.kind === "bad");
      case "bad":
        return [node];
      default:
        return [];
    }
  });
}

/** A condition on a request alone. */
export const ofRequest = (field: RequestField, value: string): Node => ({
  kind: "request",
  of: [{ kind: "term", field, values: [value] }],
});

export const ofSession = (field: SessionField, value: string): Node => ({ kind: "field", field, values: [value] });

/** The opposite. */
export const negate = (node: Node): Node => (node.kind === "not" ? node.of : { kind: "not", of: node });
