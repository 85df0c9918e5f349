// The rules in force, and sending changes of them. A change says which version it was made against;
// if somebody was faster, it is not lost: the admin sees both and decides.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ask } from "../../api/client";
import { RulesDocument } from "../../api/generated";
import { useStatus } from "../../live/status";
import { announce } from "../../ui/announce";
import type { Change, Rules, Send } from "./kinds";

export interface Conflict {
  /** What the change would do. */
  readonly what: string;
  readonly send: Send;
  readonly base: Rules;
  readonly current: Rules;
}

/** What became of a change. */
export type Outcome = "done" | "conflict" | readonly Change["errors"][number][];

export function useRules() {
  const queries = useQueryClient();
  const query = useQuery({
    queryKey: ["rules"],
    queryFn: async ({ signal }) => {
      const { rules } = await ask(RulesDocument, { atLeastEpoch: null }, signal);
      if (!rules) throw new Error("an answer without rules");
      return rules;
    },
  });
  const status = useStatus();
  const [conflict, setConflict] = useState<Conflict | null>(null);
  const [done, setDone] = useState<Change | null>(null);
  const rules = query.data;
  /** Somebody else's version is in force; it is shown when the reader asks. */
  const newer = rules && status && BigInt(status.rulesVersion) > BigInt(rules.version) ? status.rulesVersion : null;

  const change = async (what: string, base: Rules, send: Send, on: Rules = base): Promise<Outcome> => {
    const result = await send(on.version);
    if (result.rules) {
      queries.setQueryData(["rules"], result.rules);
      setDone(result);
      setConflict(null);
      announce(`Version ${result.version} of the rules is in force`);
      return "done";
    }
    const current = result.errors.find(({ code }) => code === "VERSION_CONFLICT")?.current;
    if (current) {
      setConflict({ what, send, base, current });
      return "conflict";
    }
    setConflict(null);
    return result.errors;
  };
  const discard = () => {
    if (conflict) queries.setQueryData(["rules"], conflict.current);
    setConflict(null);
  };
  return {
    query,
    rules,
    newer,
    change,
    conflict,
    discard,
    done,
    clearDone: () => setDone(null),
    backfill: status?.backfill ?? null,
  };
}
