// The filter as text and as chips: two views of one tree, which is in the address.
import { useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { parse } from "../../filter/parse";
import { print, printNode } from "../../filter/print";
import { suggest, wordAt } from "../../filter/suggest";
import { type Filter, type Node, negate } from "../../filter/tree";
import { useKeys } from "../../lib/keys";
import { plain } from "../../lib/text";
import { Icon } from "../../ui/icons";
import { Text } from "../../ui/Text";
import "./filter.css";

interface Props {
  filter: Filter;
  change: (text: string) => void;
  label: string;
  placeholder: string;
  known: ReadonlyMap<string, ReadonlySet<string>>;
}

export function FilterBar({ filter, change, label, placeholder, known }: Props) {
  const text = print(filter);
  const [draft, setDraft] = useState(text);
  const [at, setAt] = useState(-1);
  const [open, setOpen] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const list = useId();
  useEffect(() => setDraft(text), [text]);
  useKeys({ "/": () => input.current?.focus() });
  // Before the next key is taken, or what is typed at once would end up elsewhere.
  const caretAt = useRef<number | null>(null);
  useLayoutEffect(() => {
    if (caretAt.current === null) return;
    input.current?.setSelectionRange(caretAt.current, caretAt.current);
    caretAt.current = null;
  });

  const caret = input.current?.selectionStart ?? draft.length;
  const { from, word } = wordAt(draft, Math.min(caret, draft.length));
  const all = open ? suggest(word, known) : [];

  const commit = (next: string) => {
    setOpen(false);
    setAt(-1);
    const canonical = print(parse(next));
    setDraft(canonical);
    if (canonical !== text) change(canonical);
  };
  const take = (index: number) => {
    const chosen = all[index];
    if (!chosen) return;
    const next = draft.slice(0, from) + chosen.text + draft.slice(from + word.length);
    setDraft(next);
    setAt(-1);
    caretAt.current = from + chosen.text.length;
  };
  const keyDown = (event: React.KeyboardEvent) => {
    if (event.key === "ArrowDown" && all.length > 0) setAt((at + 1) % all.length);
    else if (event.key === "ArrowUp" && all.length > 0) setAt(at <= 0 ? all.length - 1 : at - 1);
    else if (event.key === "Enter") {
      if (at >= 0) take(at);
      else commit(draft);
    } else if (event.key === "Escape") {
      if (open && all.length > 0) setOpen(false);
      else if (draft !== text) setDraft(text);
      else input.current?.blur();
      setAt(-1);
    } else return;
    event.preventDefault();
  };

  return (
    <div className="filter">
      <div className="filter-input">
        <input
          ref={input}
          type="text"
          role="combobox"
          aria-label={label}
          aria-expanded={all.length > 0}
          aria-controls={list}
          aria-autocomplete="list"
          aria-activedescendant={at >= 0 ? `${list}-${at}` : undefined}
          className="mono"
          placeholder={placeholder}
          value={draft}
          spellCheck={false}
          autoComplete="off"
          onChange={(event) => {
            setDraft(event.target.value);
            setOpen(true);
            setAt(-1);
          }}
          onFocus={() => setOpen(true)}
          onBlur={() => {
            setOpen(false);
            commit(draft);
          }}
          onKeyDown={keyDown}
        />
        <span aria-hidden="true" className="key">
          /
        </span>
        <div id={list} role="listbox" aria-label="What may be typed" className="suggestions" hidden={all.length === 0}>
          {all.map((one, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the text field
            <div
              key={one.text}
              id={`${list}-${index}`}
              role="option"
              aria-selected={index === at}
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => take(index)}
            >
              <span className="mono">
                <Text of={one.text} />
              </span>
              <span className="muted small">{one.about}</span>
            </div>
          ))}
        </div>
      </div>
      {filter.length > 0 && <Chips filter={filter} commit={commit} />}
    </div>
  );
}

function Chips({ filter, commit }: { filter: Filter; commit: (text: string) => void }) {
  const put = (index: number, node: Node | undefined) =>
    commit(print(filter.flatMap((one, place) => (place === index ? (node ? [node] : []) : [one]))));
  return (
    <ul className="chips" aria-label="Conditions">
      {filter.map((node, index) => {
        const text = printNode(node);
        const bad = node.kind === "bad" ? node.reason : undefined;
        const excluded = node.kind === "not";
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: equal conditions are told apart by place alone
          <li key={`${index} ${text}`} className={bad ? "chip bad" : excluded ? "chip not" : "chip"}>
            {!bad && (
              <button
                type="button"
                className="quiet icon"
                aria-label={`${excluded ? "not" : "is"} ${plain(printNode(excluded ? node.of : node))}: ${excluded ? "require" : "exclude"} it`}
                onClick={() => put(index, negate(node))}
              >
                {excluded ? "not" : "is"}
              </button>
            )}
            <span className="mono">
              <Text of={printNode(excluded ? node.of : node)} />
            </span>
            {bad && <span className="small">{bad}</span>}
            <button
              type="button"
              className="quiet icon"
              aria-label={`Remove ${plain(text)}`}
              onClick={() => put(index, undefined)}
            >
              <Icon name="close" size={14} />
            </button>
          </li>
        );
      })}
    </ul>
  );
}
