// The lists of rules an admin edits: how each is shown, typed and sent. A form is text; `read` turns it
// into what the API takes, or says what is wrong with which field.
import { ask } from "../../api/client";
import {
  type ChangedFragment,
  CreateContextParameterDocument,
  CreateFlowDocument,
  CreateGroupingKeyDocument,
  CreateScopeRuleDocument,
  DeleteContextParameterDocument,
  DeleteFlowDocument,
  DeleteGroupingKeyDocument,
  DeleteScopeRuleDocument,
  ReorderContextParametersDocument,
  ReorderFlowsDocument,
  ReorderGroupingKeysDocument,
  ReorderScopeRulesDocument,
  type RulesFragment,
  UpdateContextParameterDocument,
  UpdateFlowDocument,
  UpdateGroupingKeyDocument,
  UpdateScopeRuleDocument,
} from "../../api/generated";

export type Rules = RulesFragment;
export type Change = ChangedFragment;
export type Form = Readonly<Record<string, string>>;

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly help?: string;
  /** `lines`: one entry a line; `flag`: "true" or "false"; a list of choices; one line otherwise. */
  readonly type?: "lines" | "flag" | readonly string[];
  readonly required?: true;
}

export class FormError extends Error {
  constructor(
    readonly field: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Item {
  readonly name: string;
  /** What it does, in a line. */
  readonly summary: string;
  readonly badges: readonly string[];
  readonly form: Form;
}

/** A change that was not sent yet: with the version it was made against, or on top of another. */
export type Send = (expectedVersion: number | string) => Promise<Change>;

export interface Kind {
  readonly part: string;
  readonly title: string;
  readonly one: string;
  readonly about: string;
  readonly fields: readonly Field[];
  readonly blank: Form;
  readonly items: (rules: Rules) => readonly Item[];
  readonly create: (form: Form) => Send;
  readonly update: (name: string, form: Form) => Send;
  readonly remove: (name: string) => Send;
  readonly reorder: (names: readonly string[]) => Send;
}

const lines = (text: string | undefined): string[] =>
  (text ?? "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
const optional = (text: string | undefined): string | null => (text?.trim() ? text.trim() : null);
const get = (form: Form, name: string): string => (form[name] ?? "").trim();

const UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];

/** `30m` */
export function span(ms: number | string): string {
  const value = Number(ms);
  const [unit, size] = UNITS.find(([, length]) => value >= length && value % length === 0) ?? ["ms", 1];
  return `${value / size}${unit}`;
}

export function readSpan(text: string, field: string): number {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text.trim()) ?? [];
  const size = UNITS.find(([name]) => name === unit)?.[1];
  const ms = digits === undefined || size === undefined ? Number.NaN : Number(digits) * size;
  if (!Number.isSafeInteger(ms)) throw new FormError(field, "a length such as 30m, 8h or 500ms");
  return ms;
}

const whole = (text: string, field: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new FormError(field, "a whole number");
  return Number(text);
};

/** The same name stays, so a repeat after a lost answer is harmless. */
const id = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

const scoped = (rule: { app?: string | null; host?: string | null; method?: string | null; path?: string | null }) =>
  [rule.method, rule.app && `app ${rule.app}`, rule.host && `host ${rule.host}`, rule.path]
    .filter(Boolean)
    .join(" · ") || "everything";

function scopeInput(form: Form) {
  return {
    name: get(form, "name"),
    app: optional(form.app),
    host: optional(form.host),
    path: optional(form.path),
    method: optional(form.method),
    action: get(form, "action") === "EXCLUDE" ? ("EXCLUDE" as const) : ("INCLUDE" as const),
  };
}

export const SCOPE: Kind = {
  part: "scope",
  title: "Scope",
  one: "scope rule",
  about:
    "Which requests are in sessions. The first rule that matches decides; where none does, the request is left out.",
  fields: [
    { name: "name", label: "Name", required: true },
    { name: "action", label: "Action", type: ["INCLUDE", "EXCLUDE"] },
    { name: "method", label: "Method", help: "Glob; empty: any" },
    { name: "app", label: "Application", help: "Glob; empty: any" },
    { name: "host", label: "Host", help: "Glob; empty: any" },
    { name: "path", label: "Path", help: "Glob over the raw path: * within a segment, ** across" },
  ],
  blank: { name: "", action: "EXCLUDE", method: "", app: "", host: "", path: "" },
  items: (rules) =>
    rules.scope.map((rule) => ({
      name: rule.name,
      summary: scoped(rule),
      badges: [rule.action === "INCLUDE" ? "included" : "left out"],
      form: {
        name: rule.name,
        action: rule.action,
        method: rule.method ?? "",
        app: rule.app ?? "",
        host: rule.host ?? "",
        path: rule.path ?? "",
      },
    })),
  create: (form) => {
    const input = { rule: scopeInput(form), clientMutationId: id() };
    return async (expectedVersion) =>
      must((await ask(CreateScopeRuleDocument, { input: { ...input, expectedVersion } })).change);
  },
  update: (name, form) => {
    const input = { name, rule: scopeInput(form), clientMutationId: id() };
    return async (expectedVersion) =>
      must((await ask(UpdateScopeRuleDocument, { input: { ...input, expectedVersion } })).change);
  },
  remove: (name) => async (expectedVersion) =>
    must((await ask(DeleteScopeRuleDocument, { input: { name, expectedVersion } })).change),
  reorder: (names) => async (expectedVersion) =>
    must((await ask(ReorderScopeRulesDocument, { input: { names: [...names], expectedVersion } })).change),
};

export function gapInput(text: string, field: string) {
  if (text === "none") return { none: true };
  return { ms: readSpan(text, field) };
}
const gapText = (gap: { ms: number | string | null } | null) =>
  gap === null ? "" : gap.ms === null ? "none" : span(gap.ms);

function keyInput(form: Form) {
  const gap = get(form, "gap");
  return {
    name: get(form, "name"),
    point: get(form, "point"),
    namespace: optional(form.namespace),
    apps: lines(form.apps),
    hosts: lines(form.hosts),
    paths: lines(form.paths),
    minLength: whole(get(form, "minLength"), "minLength"),
    ignore: lines(form.ignore),
    per: get(form, "per") as "NONE" | "APP" | "HOST",
    secret: form.secret === "true",
    ...(gap === "" ? {} : { gap: gapInput(gap, "gap") }),
  };
}

export const GROUPING: Kind = {
  part: "grouping",
  title: "Grouping keys",
  one: "grouping key",
  about: "Whose request it is. Tried in this order, before the built-in keys; the first that finds a value decides.",
  fields: [
    { name: "name", label: "Name", required: true },
    {
      name: "point",
      label: "Point",
      required: true,
      help: "Where the value is read, such as $request.header.authorization | jwt.payload#/sub",
    },
    {
      name: "namespace",
      label: "Namespace",
      help: "Empty: the name. Keys with one namespace and equal values are one identity",
    },
    { name: "secret", label: "Only a keyed hash of the value is kept", type: "flag" },
    {
      name: "gap",
      label: "Gap",
      help: "A pause that ends a session, such as 30m; none: only the day ends it; empty: that of the settings",
    },
    { name: "minLength", label: "Least length of a value", required: true },
    { name: "per", label: "Values are distinct for each", type: ["NONE", "APP", "HOST"] },
    { name: "ignore", label: "Values that do not count", type: "lines" },
    { name: "apps", label: "Only these applications", type: "lines", help: "Globs; empty: all" },
    { name: "hosts", label: "Only these hosts", type: "lines", help: "Globs; empty: all" },
    { name: "paths", label: "Only these paths", type: "lines", help: "Globs; empty: all" },
  ],
  blank: {
    name: "",
    point: "",
    namespace: "",
    secret: "false",
    gap: "",
    minLength: "1",
    per: "NONE",
    ignore: "null\nundefined\n-",
    apps: "",
    hosts: "",
    paths: "",
  },
  items: (rules) =>
    rules.grouping.map((key) => ({
      name: key.name,
      summary: key.point,
      badges: [
        ...(key.namespace === key.name ? [] : [`namespace ${key.namespace}`]),
        ...(key.secret ? ["hashed"] : []),
        ...key.apps.map((app) => `app ${app}`),
        ...key.hosts.map((host) => `host ${host}`),
        ...(key.gap ? [`gap ${gapText(key.gap)}`] : []),
      ],
      form: {
        name: key.name,
        point: key.point,
        namespace: key.namespace === key.name ? "" : key.namespace,
        secret: String(key.secret),
        gap: gapText(key.gap),
        minLength: String(key.minLength),
        per: key.per,
        ignore: key.ignore.join("\n"),
        apps: key.apps.join("\n"),
        hosts: key.hosts.join("\n"),
        paths: key.paths.join("\n"),
      },
    })),
  create: (form) => {
    const input = { key: keyInput(form), clientMutationId: id() };
    return async (expectedVersion) =>
      must((await ask(CreateGroupingKeyDocument, { input: { ...input, expectedVersion } })).change);
  },
  update: (name, form) => {
    const input = { name, key: keyInput(form), clientMutationId: id() };
    return async (expectedVersion) =>
      must((await ask(UpdateGroupingKeyDocument, { input: { ...input, expectedVersion } })).change);
  },
  remove: (name) => async (expectedVersion) =>
    must((await ask(DeleteGroupingKeyDocument, { input: { name, expectedVersion } })).change),
  reorder: (names) => async (expectedVersion) =>
    must((await ask(ReorderGroupingKeysDocument, { input: { names: [...names], expectedVersion } })).change),
};

function parameterInput(form: Form) {
  return {
    name: get(form, "name"),
    point: get(form, "point"),
    type: get(form, "type") as "TEXT" | "USER" | "ROLE",
    secret: form.secret === "true",
  };
}

export const CONTEXT: Kind = {
  part: "context",
  title: "Context parameters",
  one: "context parameter",
  about: "Values that are kept with each request: who the user is, which role they have, and what else matters.",
  fields: [
    { name: "name", label: "Name", required: true },
    { name: "point", label: "Point", required: true, help: "Where the value is read, such as $request.query.tenant" },
    { name: "type", label: "Type", type: ["TEXT", "USER", "ROLE"] },
    { name: "secret", label: "Only a keyed hash of the value is kept", type: "flag" },
  ],
  blank: { name: "", point: "", type: "TEXT", secret: "false" },
  items: (rules) =>
    rules.context.map((parameter) => ({
      name: parameter.name,
      summary: parameter.point,
      badges: [
        ...(parameter.type === "TEXT" ? [] : [parameter.type.toLowerCase()]),
        ...(parameter.secret ? ["hashed"] : []),
      ],
      form: { name: parameter.name, point: parameter.point, type: parameter.type, secret: String(parameter.secret) },
    })),
  create: (form) => {
    const input = { parameter: parameterInput(form), clientMutationId: id() };
    return async (expectedVersion) =>
      must((await ask(CreateContextParameterDocument, { input: { ...input, expectedVersion } })).change);
  },
  update: (name, form) => {
    const input = { name, parameter: parameterInput(form), clientMutationId: id() };
    return async (expectedVersion) =>
      must((await ask(UpdateContextParameterDocument, { input: { ...input, expectedVersion } })).change);
  },
  remove: (name) => async (expectedVersion) =>
    must((await ask(DeleteContextParameterDocument, { input: { name, expectedVersion } })).change),
  reorder: (names) => async (expectedVersion) =>
    must((await ask(ReorderContextParametersDocument, { input: { names: [...names], expectedVersion } })).change),
};

type Pattern = Rules["flows"][number]["endpoints"][number];
const patternText = ({ app, host, method, path }: Pattern) =>
  [method ?? "*", path ?? "**", app && `app=${app}`, host && `host=${host}`].filter(Boolean).join(" ");

function readPattern(line: string): Pattern {
  const [method = "", path = "", ...rest] = line.split(/\s+/);
  if (path === "")
    throw new FormError("endpoints", `"${line}": a method and a path are needed, such as POST /checkout`);
  const pattern = {
    app: null as string | null,
    host: null as string | null,
    method: method === "*" ? null : method,
    path: path === "**" ? null : path,
  };
  for (const word of rest) {
    const [name, value] = word.split(/=(.*)/s);
    if ((name !== "app" && name !== "host") || !value)
      throw new FormError("endpoints", `"${word}" is neither app=… nor host=…`);
    pattern[name] = value;
  }
  return pattern;
}

const flowInput = (form: Form) => ({ name: get(form, "name"), endpoints: lines(form.endpoints).map(readPattern) });

export const FLOWS: Kind = {
  part: "flows",
  title: "Business flows",
  one: "flow",
  about: "Named sets of endpoints. A request touches a flow when one of its patterns matches the endpoint.",
  fields: [
    { name: "name", label: "Name", required: true },
    {
      name: "endpoints",
      label: "Endpoints",
      type: "lines",
      required: true,
      help: "One a line: method, path template, and if need be app=… and host=…, such as POST /cart/items app=shop; * and ** for any",
    },
  ],
  blank: { name: "", endpoints: "" },
  items: (rules) =>
    rules.flows.map((flow) => ({
      name: flow.name,
      summary: flow.endpoints.map(patternText).join(", "),
      badges: [],
      form: { name: flow.name, endpoints: flow.endpoints.map(patternText).join("\n") },
    })),
  create: (form) => {
    const input = { flow: flowInput(form), clientMutationId: id() };
    return async (expectedVersion) =>
      must((await ask(CreateFlowDocument, { input: { ...input, expectedVersion } })).change);
  },
  update: (name, form) => {
    const input = { name, flow: flowInput(form), clientMutationId: id() };
    return async (expectedVersion) =>
      must((await ask(UpdateFlowDocument, { input: { ...input, expectedVersion } })).change);
  },
  remove: (name) => async (expectedVersion) =>
    must((await ask(DeleteFlowDocument, { input: { name, expectedVersion } })).change),
  reorder: (names) => async (expectedVersion) =>
    must((await ask(ReorderFlowsDocument, { input: { names: [...names], expectedVersion } })).change),
};

export const KINDS: readonly Kind[] = [GROUPING, SCOPE, CONTEXT, FLOWS];

export function must(change: Change | null): Change {
  if (!change) throw new Error("an answer without what became of the change");
  return change;
}
