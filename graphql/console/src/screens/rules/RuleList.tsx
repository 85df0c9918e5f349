// A list of rules in the order they are tried. Order is changed by dragging, by the buttons, or by
// Alt and the arrows, and sent when it is right; then it is one version.
import { useEffect, useRef, useState } from "react";
import { plain } from "../../lib/text";
import { announce } from "../../ui/announce";
import { Dialog } from "../../ui/Dialog";
import { Icon } from "../../ui/icons";
import { Failed } from "../../ui/states";
import { Text } from "../../ui/Text";
import type { Item, Kind, Rules } from "./kinds";
import { moved } from "./order";
import { RuleForm } from "./RuleForm";
import type { useRules } from "./useRules";

interface Props {
  kind: Kind;
  rules: Rules;
  change: ReturnType<typeof useRules>["change"];
}

export function RuleList({ kind, rules, change }: Props) {
  const items = kind.items(rules);
  const [draft, setDraft] = useState<{ names: readonly string[]; base: Rules } | null>(null);
  const [dragged, setDragged] = useState<string | null>(null);
  const [editing, setEditing] = useState<{ item: Item | null; base: Rules } | null>(null);
  const [removing, setRemoving] = useState<{ item: Item; base: Rules } | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const list = useRef<HTMLOListElement>(null);
  const focus = useRef<string | null>(null);
  const byName = new Map(items.map((item) => [item.name, item]));
  const names = draft ? draft.names.filter((name) => byName.has(name)) : items.map(({ name }) => name);

  useEffect(() => {
    if (focus.current === null) return;
    const row = list.current?.querySelector<HTMLElement>(`[data-name="${CSS.escape(focus.current)}"]`);
    focus.current = null;
    row?.focus();
  });
  const move = (name: string, to: number) => {
    const from = names.indexOf(name);
    if (to < 0 || to >= names.length || from === to) return;
    setDraft({ names: moved(names, from, to), base: draft?.base ?? rules });
    announce(`${plain(name)} is now ${to + 1} of ${names.length}`);
  };
  const run = async (what: string, base: Rules, send: ReturnType<Kind["remove"]>) => {
    setBusy(true);
    setError(null);
    try {
      const outcome = await change(what, base, send);
      if (typeof outcome !== "string") setError(new Error(outcome.map(({ message }) => message).join("; ")));
      return outcome === "done" || outcome === "conflict";
    } catch (failed) {
      setError(failed);
      return false;
    } finally {
      setBusy(false);
    }
  };

  return (
    <section className="stack" aria-label={kind.title}>
      <div className="row spread">
        <p className="muted about">{kind.about}</p>
        <button type="button" className="primary" onClick={() => setEditing({ item: null, base: rules })}>
          <Icon name="plus" /> New {kind.one}
        </button>
      </div>
      {error !== null && <Failed error={error} what="the change as done" />}
      {draft && (
        <div className="card row spread order-bar" role="status">
          <span>The order is changed and not sent yet.</span>
          <span className="row">
            <button
              type="button"
              className="primary"
              disabled={busy}
              onClick={() =>
                void run(`Another order of the ${kind.title.toLowerCase()}`, draft.base, kind.reorder(names)).then(
                  (ended) => {
                    if (ended) setDraft(null);
                  },
                )
              }
            >
              Apply the order
            </button>
            <button type="button" onClick={() => setDraft(null)}>
              Undo
            </button>
          </span>
        </div>
      )}
      {names.length === 0 && <p className="card muted">There is none yet.</p>}
      <ol className="rules" ref={list}>
        {names.map((name, at) => {
          const item = byName.get(name);
          if (!item) return null;
          return (
            <li
              key={name}
              data-name={name}
              // biome-ignore lint/a11y/noNoninteractiveTabindex: Alt and the arrows move it
              tabIndex={0}
              aria-label={`${plain(name)}, ${at + 1} of ${names.length}. Alt and the arrows move it.`}
              className={dragged === name ? "rule dragged" : "rule"}
              draggable
              onDragStart={(event) => {
                event.dataTransfer.effectAllowed = "move";
                event.dataTransfer.setData("text/plain", name);
                setDragged(name);
              }}
              onDragOver={(event) => {
                if (dragged === null) return;
                event.preventDefault();
                if (dragged !== name) move(dragged, at);
              }}
              onDrop={(event) => {
                event.preventDefault();
                setDragged(null);
              }}
              onDragEnd={() => setDragged(null)}
              onKeyDown={(event) => {
                if (event.target !== event.currentTarget) return;
                const by = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
                if (by !== 0 && event.altKey) {
                  focus.current = name;
                  move(name, at + by);
                } else if (by !== 0) {
                  focus.current = names[at + by] ?? null;
                  setDragged(null);
                  list.current?.querySelector<HTMLElement>(`[data-name="${CSS.escape(focus.current ?? "")}"]`)?.focus();
                } else if (event.key === "Enter") setEditing({ item, base: rules });
                else return;
                event.preventDefault();
              }}
            >
              <span className="grip muted" aria-hidden="true">
                <Icon name="grip" />
              </span>
              <span className="place num muted">{at + 1}</span>
              <div className="what-rule">
                <div className="row">
                  <strong className="wrap">
                    <Text of={item.name} />
                  </strong>
                  {item.badges.map((badge) => (
                    <span
                      key={badge}
                      className={badge === "left out" ? "badge warn" : badge === "included" ? "badge good" : "badge"}
                    >
                      <Text of={badge} />
                    </span>
                  ))}
                </div>
                <code className="wrap muted">
                  <Text of={item.summary} />
                </code>
              </div>
              <span className="row tools">
                <button
                  type="button"
                  className="quiet icon"
                  aria-label={`Move ${plain(name)} up`}
                  disabled={at === 0}
                  onClick={() => move(name, at - 1)}
                >
                  <Icon name="up" />
                </button>
                <button
                  type="button"
                  className="quiet icon"
                  aria-label={`Move ${plain(name)} down`}
                  disabled={at === names.length - 1}
                  onClick={() => move(name, at + 1)}
                >
                  <Icon name="down" />
                </button>
                <button
                  type="button"
                  className="quiet icon"
                  aria-label={`Edit ${plain(name)}`}
                  onClick={() => setEditing({ item, base: rules })}
                >
                  <Icon name="edit" />
                </button>
                <button
                  type="button"
                  className="quiet icon"
                  aria-label={`Remove ${plain(name)}`}
                  onClick={() => setRemoving({ item, base: rules })}
                >
                  <Icon name="trash" />
                </button>
              </span>
            </li>
          );
        })}
      </ol>
      {editing && (
        <RuleForm kind={kind} item={editing.item} base={editing.base} change={change} close={() => setEditing(null)} />
      )}
      {removing && (
        <Dialog title={`Remove ${plain(removing.item.name)}?`} close={() => setRemoving(null)}>
          <div className="stack">
            <p>The retained requests that it touches are grouped anew without it.</p>
            <div className="row">
              <button
                type="button"
                className="danger"
                disabled={busy}
                onClick={() =>
                  void run(`Remove ${removing.item.name}`, removing.base, kind.remove(removing.item.name)).then(() =>
                    setRemoving(null),
                  )
                }
              >
                Remove
              </button>
              <button type="button" onClick={() => setRemoving(null)}>
                Cancel
              </button>
            </div>
          </div>
        </Dialog>
      )}
    </section>
  );
}
