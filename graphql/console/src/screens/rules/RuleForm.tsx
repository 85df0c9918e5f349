// One rule as a form. What the server refuses is shown at the field it is about; a change made against
// an older version is kept and shown beside the newer one.
import { useId, useState } from "react";
import { plain } from "../../lib/text";
import { Dialog } from "../../ui/Dialog";
import { Failed } from "../../ui/states";
import { Text } from "../../ui/Text";
import { type Field, type Form, FormError, type Item, type Kind, type Rules } from "./kinds";
import type { useRules } from "./useRules";

interface Props {
  kind: Kind;
  /** None: a new one. */
  item: Item | null;
  base: Rules;
  change: ReturnType<typeof useRules>["change"];
  close: () => void;
}

export function RuleForm({ kind, item, base, change, close }: Props) {
  const what = item ? `Change ${item.name}` : `New ${kind.one}`;
  const make = (form: Form) => (item ? kind.update(item.name, form) : kind.create(form));
  return (
    <Dialog title={plain(what)} close={close}>
      <FieldsForm
        fields={kind.fields}
        initial={item?.form ?? kind.blank}
        apply={async (form) => change(form.name && !item ? `New ${kind.one} ${form.name}` : what, base, make(form))}
        close={close}
      />
    </Dialog>
  );
}

interface FieldsProps {
  fields: readonly Field[];
  initial: Form;
  apply: (form: Form) => ReturnType<ReturnType<typeof useRules>["change"]>;
  /** After it was applied, or put aside. */
  close: () => void;
}

export function FieldsForm({ fields, initial, apply, close }: FieldsProps) {
  const [form, setForm] = useState<Form>(initial);
  const [wrong, setWrong] = useState<ReadonlyMap<string, string>>(new Map());
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    setError(null);
    setWrong(new Map());
    setBusy(true);
    try {
      const outcome = await apply(form);
      if (typeof outcome === "string") return close();
      const found = new Map<string, string>();
      const rest: string[] = [];
      for (const { path, message, code } of outcome) {
        const field =
          path.findLast((part) => fields.some(({ name }) => name === part)) ??
          (code === "INVALID_POINT" ? "point" : "name");
        if (fields.some(({ name }) => name === field)) found.set(field, message);
        else rest.push(message);
      }
      setWrong(found);
      if (rest.length > 0) setError(new Error(rest.join("; ")));
      document.getElementById(`field-${[...found.keys()][0]}`)?.focus();
    } catch (failed) {
      if (failed instanceof FormError) {
        setWrong(new Map([[failed.field, failed.message]]));
        document.getElementById(`field-${failed.field}`)?.focus();
      } else setError(failed);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      className="stack rule-form"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      {error !== null && <Failed error={error} what="the change as done" />}
      {fields.map((field) => (
        <Input
          key={field.name}
          field={field}
          value={form[field.name] ?? ""}
          wrong={wrong.get(field.name)}
          set={(value) => setForm({ ...form, [field.name]: value })}
        />
      ))}
      <div className="row">
        <button type="submit" className="primary" disabled={busy}>
          {busy ? "Applying …" : "Apply"}
        </button>
        <button type="button" onClick={close}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function Input({
  field,
  value,
  wrong,
  set,
}: {
  field: Field;
  value: string;
  wrong: string | undefined;
  set: (value: string) => void;
}) {
  const note = useId();
  const shared = {
    id: `field-${field.name}`,
    "aria-invalid": wrong !== undefined,
    "aria-describedby": note,
    required: field.required === true,
  };
  const notes = (
    <span id={note} className="small">
      {field.help && <span className="muted">{field.help}</span>}
      {wrong !== undefined && (
        <span className="wrong" role="alert">
          {" "}
          <Text of={wrong} />
        </span>
      )}
    </span>
  );
  if (field.type === "flag") {
    return (
      <div>
        <label className="check">
          <input
            type="checkbox"
            id={shared.id}
            aria-describedby={note}
            checked={value === "true"}
            onChange={(event) => set(String(event.target.checked))}
          />
          {field.label}
        </label>
        {notes}
      </div>
    );
  }
  return (
    <div className="field">
      <label htmlFor={shared.id}>{field.label}</label>
      {field.type === "lines" ? (
        <textarea
          {...shared}
          className="mono"
          rows={Math.min(6, value.split("\n").length + 1)}
          value={value}
          onChange={(event) => set(event.target.value)}
        />
      ) : field.type !== undefined ? (
        <select {...shared} value={value} onChange={(event) => set(event.target.value)}>
          {field.type.map((choice) => (
            <option key={choice} value={choice}>
              {choice.toLowerCase()}
            </option>
          ))}
        </select>
      ) : (
        <input
          {...shared}
          type="text"
          className="mono"
          spellCheck={false}
          autoComplete="off"
          value={value}
          onChange={(event) => set(event.target.value)}
        />
      )}
      {notes}
    </div>
  );
}
