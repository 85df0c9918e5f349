// The sessions of the filter as a file. It says what it has: the filter, the epoch, and whether it
// was cut.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ask } from "../../api/client";
import { SessionCountDocument, type SessionFilter } from "../../api/generated";
import { csv, download, jsonLines } from "../../lib/csv";
import { count, toNumber } from "../../lib/format";
import { plain } from "../../lib/text";
import { Dialog } from "../../ui/Dialog";
import { Failed } from "../../ui/states";
import { EXPORTED, type SessionRow } from "./columns";
import { readPage } from "./useSessions";

/** Sessions a file has at most: fifty pages. */
export const EXPORT_MAX = 10_000;
const PAGE = 200;

interface Props {
  asked: SessionFilter | undefined;
  sort: string | undefined;
  /** Filter and range in words. */
  about: string;
  close: () => void;
}

export function Export({ asked, sort, about, close }: Props) {
  const [kind, setKind] = useState<"csv" | "jsonl">("csv");
  const [read, setRead] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const total = useQuery({
    queryKey: ["count", JSON.stringify(asked ?? {})],
    gcTime: 0,
    queryFn: ({ signal }) => ask(SessionCountDocument, { filter: asked ?? null }, signal),
  });
  const all = total.data?.sessions?.totalCount;
  const save = async () => {
    setError(null);
    setRead(0);
    try {
      const rows: SessionRow[] = [];
      let after: string | null = null;
      let epoch = "";
      let consistent = true;
      let cut = false;
      for (;;) {
        const page = await readPage(asked, sort, after, PAGE);
        rows.push(...page.nodes);
        if (epoch === "") epoch = String(page.pageInfo.epoch);
        consistent &&= page.pageInfo.consistent;
        setRead(rows.length);
        after = page.pageInfo.endCursor;
        if (!page.pageInfo.hasNextPage) break;
        if (rows.length >= EXPORT_MAX) {
          cut = true;
          break;
        }
      }
      const notes = [
        `Spoor, sessions: ${plain(about)}`,
        `Epoch ${epoch}${consistent ? "" : "; the list went on at a later epoch before it ended"}`,
        `${rows.length} sessions${cut ? `, cut at ${EXPORT_MAX}: more match` : ", all that match"}`,
      ];
      const name = `spoor-sessions-epoch-${epoch}${cut ? "-cut" : ""}.${kind}`;
      if (kind === "csv") {
        const lines = csv(EXPORTED, rows) + notes.map((note) => `# ${note.replaceAll(/[\r\n,"]/g, " ")}\r\n`).join("");
        download(name, "text/csv", lines);
      } else {
        download(name, "application/x-ndjson", jsonLines([...rows, { export: notes, cut }]));
      }
      close();
    } catch (failed) {
      setError(failed);
      setRead(null);
    }
  };
  return (
    <Dialog title="Export sessions" close={close}>
      <div className="stack">
        <p>
          {all === undefined || all === null
            ? total.isError
              ? "How many match is not known."
              : "Counting …"
            : `${count(all)} sessions match. ${toNumber(all) > EXPORT_MAX ? `The file has the first ${count(EXPORT_MAX)} of them in the order of the list, and says so.` : "The file has all of them."}`}
        </p>
        <p className="muted small">
          All rows are as of one epoch. Times are in UTC. In CSV a text that a spreadsheet would run begins with an
          apostrophe.
        </p>
        <fieldset className="row" aria-label="Format">
          {(["csv", "jsonl"] as const).map((one) => (
            <label key={one} className="check">
              <input type="radio" name="format" checked={kind === one} onChange={() => setKind(one)} />
              {one === "csv" ? "CSV" : "JSON Lines"}
            </label>
          ))}
        </fieldset>
        {error !== null && <Failed error={error} what="all sessions" />}
        <div className="row">
          <button type="button" className="primary" disabled={read !== null} onClick={() => void save()}>
            {read === null ? "Save" : `Read ${count(read)} …`}
          </button>
          <button type="button" onClick={close}>
            Cancel
          </button>
        </div>
      </div>
    </Dialog>
  );
}
