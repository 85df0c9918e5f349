// What an admin changes: scope, keys, context, flows and numbers. Each change is one version, takes
// effect at an epoch, and goes through the retained past.
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { ask } from "../../api/client";
import { SetBuiltInKeyDocument, UpdateSettingsDocument } from "../../api/generated";
import { count } from "../../lib/format";
import { plain } from "../../lib/text";
import { Backfill } from "../../ui/Backfill";
import { Dialog } from "../../ui/Dialog";
import { Failed, Loading } from "../../ui/states";
import { Text } from "../../ui/Text";
import { useView } from "../../ui/useView";
import { type Form, FormError, gapInput, KINDS, must, type Rules as RuleSet, readSpan, span } from "./kinds";
import { differences } from "./order";
import { FieldsForm } from "./RuleForm";
import { RuleList } from "./RuleList";
import "./rules.css";
import { type Conflict, useRules } from "./useRules";

const PARTS = [
  ...KINDS.map(({ part, title }) => ({ part, title })),
  { part: "built-in", title: "Built-in keys" },
  { part: "numbers", title: "Numbers" },
];

export function Rules() {
  const { query, rules, newer, change, conflict, discard, done, clearDone, backfill } = useRules();
  const view = useView();
  const part = PARTS.some((one) => one.part === view.part) ? view.part : "grouping";
  const kind = KINDS.find((one) => one.part === part);
  return (
    <div className="page">
      <div className="row spread">
        <h1>Rules</h1>
        <div className="row">
          {rules && <span className="muted num">version {count(rules.version)}</span>}
          {newer !== null && (
            <button type="button" className="primary pill" onClick={() => void query.refetch()}>
              Version {count(newer)} is in force · show
            </button>
          )}
        </div>
      </div>
      {backfill && <Backfill state={backfill} />}
      {done && !backfill && (
        <div className="card row spread" role="status">
          <span>
            Version {count(done.version ?? 0)} is in force from epoch {count(done.effectiveEpoch ?? 0)} on, for new
            requests and for those that are kept.
          </span>
          <button type="button" className="quiet" onClick={clearDone}>
            Dismiss
          </button>
        </div>
      )}
      {query.isError && <Failed error={query.error} retry={() => void query.refetch()} what="the rules" />}
      <nav aria-label="Parts of the rules">
        <ul className="parts">
          {PARTS.map(({ part: one, title }) => (
            <li key={one}>
              <Link
                to="/rules"
                search={({ tz }) => ({ part: one, ...(tz === undefined ? {} : { tz }) })}
                aria-current={one === part ? "page" : undefined}
                className={one === part ? "part chosen-part" : "part"}
              >
                {title}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      {!rules ? (
        !query.isError && <Loading what="the rules" />
      ) : kind ? (
        <RuleList key={part} kind={kind} rules={rules} change={change} />
      ) : part === "built-in" ? (
        <BuiltIn rules={rules} change={change} />
      ) : (
        <Numbers key={String(rules.version)} rules={rules} change={change} />
      )}
      {conflict && <Merge conflict={conflict} change={change} discard={discard} />}
    </div>
  );
}

function BuiltIn({ rules, change }: { rules: RuleSet; change: ReturnType<typeof useRules>["change"] }) {
  const [busy, setBusy] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const set = async (name: string, enabled: boolean) => {
    setBusy(name);
    setError(null);
    try {
      const outcome = await change(
        `${enabled ? "Try" : "Do not try"} the built-in key ${name}`,
        rules,
        async (expectedVersion) =>
          must((await ask(SetBuiltInKeyDocument, { input: { name, enabled, expectedVersion } })).change),
      );
      if (typeof outcome !== "string") setError(new Error(outcome.map(({ message }) => message).join("; ")));
    } catch (failed) {
      setError(failed);
    } finally {
      setBusy(null);
    }
  };
  return (
    <section className="stack" aria-label="Built-in keys">
      <p className="muted about">
        Tried in this order after the grouping keys. The client address is the last resort: an identity by it is weak.
      </p>
      {error !== null && <Failed error={error} what="the change as done" />}
      <ol className="rules">
        {rules.builtInKeys.map(({ name, enabled }, at) => (
          <li key={name} className="rule plain-rule">
            <span className="place num muted">{at + 1}</span>
            <strong className="mono wrap">
              <Text of={name} />
            </strong>
            <label className="check">
              <input
                type="checkbox"
                role="switch"
                aria-checked={enabled}
                checked={enabled}
                disabled={busy !== null}
                aria-label={`${plain(name)} is tried`}
                onChange={(event) => void set(name, event.target.checked)}
              />
              {enabled ? "tried" : "off"}
            </label>
          </li>
        ))}
      </ol>
    </section>
  );
}

const NUMBERS = [
  {
    name: "gap",
    label: "Gap",
    required: true,
    help: "A pause that ends a session, for keys without a gap of their own, such as 30m; none: only the day ends it",
  },
  { name: "dayZone", label: "Zone of days", required: true, help: "An IANA name; fixed once the store holds requests" },
  {
    name: "latenessMs",
    label: "Lateness",
    required: true,
    help: "How far a source's watermark stays behind its greatest time, such as 5s",
  },
  { name: "retentionDays", label: "Retention in days", help: "Empty: everything is kept" },
  {
    name: "idleTimeoutMs",
    label: "Idle timeout",
    required: true,
    help: "A source silent for this long no longer holds the watermark back",
  },
  {
    name: "futureMs",
    label: "Future",
    help: "A request further ahead of the clock is refused, such as 1h; empty: no limit",
  },
] as const;

function Numbers({ rules, change }: { rules: RuleSet; change: ReturnType<typeof useRules>["change"] }) {
  const { settings } = rules;
  const initial: Form = {
    gap: settings.gap.ms === null ? "none" : span(settings.gap.ms),
    dayZone: settings.dayZone,
    latenessMs: span(settings.latenessMs),
    retentionDays: settings.retentionDays === null ? "" : String(settings.retentionDays),
    idleTimeoutMs: span(settings.idleTimeoutMs),
    futureMs: settings.futureMs === null ? "" : span(settings.futureMs),
  };
  const apply = async (form: Form) => {
    const get = (name: string) => (form[name] ?? "").trim();
    const days = get("retentionDays");
    if (days !== "" && !/^\d{1,9}$/.test(days)) throw new FormError("retentionDays", "a whole number of days");
    const input = {
      gap: gapInput(get("gap"), "gap"),
      dayZone: get("dayZone"),
      latenessMs: readSpan(get("latenessMs"), "latenessMs"),
      retentionDays: days === "" ? null : Number(days),
      idleTimeoutMs: readSpan(get("idleTimeoutMs"), "idleTimeoutMs"),
      futureMs: get("futureMs") === "" ? null : readSpan(get("futureMs"), "futureMs"),
    };
    return change("Other numbers", rules, async (expectedVersion) =>
      must((await ask(UpdateSettingsDocument, { input: { settings: input, expectedVersion } })).change),
    );
  };
  const [round, setRound] = useState(0);
  return (
    <section className="card numbers-form" aria-label="Numbers">
      <FieldsForm key={round} fields={NUMBERS} initial={initial} apply={apply} close={() => setRound(round + 1)} />
    </section>
  );
}

/** Two admins at once: what the other changed, what this change would do, and a decision. */
function Merge({
  conflict,
  change,
  discard,
}: {
  conflict: Conflict;
  change: ReturnType<typeof useRules>["change"];
  discard: () => void;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const { base, current, what, send } = conflict;
  const theirs = [
    ...KINDS.flatMap((kind) =>
      differences(kind.items(base), kind.items(current)).map((line) => `${kind.title}: ${line}`),
    ),
    ...differences(
      base.builtInKeys.map(({ name, enabled }) => ({ name, form: { tried: String(enabled) } })),
      current.builtInKeys.map(({ name, enabled }) => ({ name, form: { tried: String(enabled) } })),
    ).map((line) => `Built-in keys: ${line}`),
    ...(JSON.stringify(base.settings) === JSON.stringify(current.settings) ? [] : ["Numbers: changed"]),
  ];
  const again = async () => {
    setBusy(true);
    try {
      const outcome = await change(what, base, send, current);
      if (typeof outcome !== "string") setError(new Error(outcome.map(({ message }) => message).join("; ")));
    } catch (failed) {
      setError(failed);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title="Somebody else changed the rules" close={discard}>
      <div className="stack">
        <p>
          Your change was made against version {count(base.version)}; version {count(current.version)} is in force.
          Nothing of yours has been applied yet.
        </p>
        <div>
          <h3>What changed meanwhile</h3>
          <ul>
            {theirs.length === 0 && <li>Nothing that is left: it was changed and changed back.</li>}
            {theirs.map((line) => (
              <li key={line} className="wrap">
                <Text of={line} />
              </li>
            ))}
          </ul>
        </div>
        <div>
          <h3>Your change</h3>
          <p className="wrap">
            <Text of={what} />
          </p>
        </div>
        {error !== null && <Failed error={error} what="the change as done" />}
        <div className="row">
          <button type="button" className="primary" disabled={busy} onClick={() => void again()}>
            Apply mine to version {count(current.version)}
          </button>
          <button type="button" onClick={discard}>
            Discard mine
          </button>
        </div>
      </div>
    </Dialog>
  );
}
