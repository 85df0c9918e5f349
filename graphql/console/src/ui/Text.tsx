// Text that came from a log: isolated, and with what steers a reader shown escaped.
import { memo } from "react";
import { runs } from "../lib/text";
import "./text.css";

export const Text = memo(function Text({ of, lines = false }: { of: string; lines?: boolean }) {
  const all = runs(of, lines);
  return (
    <bdi>
      {all.map((run, at) =>
        run.steers ? (
          // biome-ignore lint/suspicious/noArrayIndexKey: the runs of one text have no other identity
          <span key={at} className="steers" title="a character that is not shown as itself">
            {run.text}
          </span>
        ) : (
          run.text
        ),
      )}
    </bdi>
  );
});
