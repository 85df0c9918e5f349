// One request beside the list: both messages, what was detected, its context, and why it is in this
// session.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { ask } from "../../api/client";
import { RequestDocument, type RequestQuery } from "../../api/generated";
import type { RequestField } from "../../filter/fields";
import { print } from "../../filter/print";
import { ofRequest } from "../../filter/tree";
import { bytes, count, length, useTimes } from "../../lib/format";
import { indented } from "../../lib/json";
import { announce } from "../../ui/announce";
import { Icon } from "../../ui/icons";
import { Failed, Loading } from "../../ui/states";
import { Text } from "../../ui/Text";
import { curl } from "./curl";
import { toneOf } from "./shape";

type Found = NonNullable<NonNullable<RequestQuery["session"]>["request"]>;

interface Props {
  session: string;
  id: string;
  close: () => void;
  step: (by: 1 | -1) => void;
}

export function RequestPanel({ session, id, close, step }: Props) {
  const query = useQuery({
    queryKey: ["request", session, id],
    queryFn: ({ signal }) => ask(RequestDocument, { session, request: id }, signal),
    placeholderData: (before) => before,
  });
  const request = query.data?.session?.request;
  const body = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another request begins at its top
  useEffect(() => {
    body.current?.scrollTo({ top: 0 });
  }, [id]);
  return (
    <section className="panel" aria-label="Request" ref={body}>
      <div className="row spread panel-head">
        <h2 id="request-title" tabIndex={-1}>
          Request
        </h2>
        <div className="row">
          <button type="button" className="quiet icon" aria-label="Previous request" onClick={() => step(-1)}>
            <Icon name="up" />
          </button>
          <button type="button" className="quiet icon" aria-label="Next request" onClick={() => step(1)}>
            <Icon name="down" />
          </button>
          <button type="button" className="quiet icon" aria-label="Close the request" onClick={close}>
            <Icon name="close" />
          </button>
        </div>
      </div>
      {query.isError ? (
        <Failed error={query.error} retry={() => void query.refetch()} what="the request" />
      ) : request === undefined ? (
        <Loading what="the request" />
      ) : request === null ? (
        <p className="muted">
          This request is not in the session any more: the session grew, split or was regrouped, or retention dropped
          it.
        </p>
      ) : (
        <Details request={request} />
      )}
    </section>
  );
}

function Details({ request }: { request: Found }) {
  const times = useTimes();
  const [copied, setCopied] = useState(false);
  const target = `${request.path}${request.query ? `?${request.query}` : ""}`;
  const copy = () => {
    void navigator.clipboard.writeText(curl(request)).then(() => {
      setCopied(true);
      announce("Copied");
      setTimeout(() => setCopied(false), 2000);
    });
  };
  return (
    <div className="stack">
      <div className="stack tight">
        <div className="row">
          <span className={`badge ${toneOf(request.status)}`}>{request.status ?? "no response"}</span>
          <strong className="mono wrap">
            <Text of={request.endpoint} />
          </strong>
        </div>
        <code className="wrap target">
          <Text of={`${request.method} ${request.host ?? ""}${target}`} />
        </code>
        <dl className="facts">
          <dt>Started</dt>
          <dd className="num">
            {times.exact(request.ts)} {times.zone}
          </dd>
          <dt>Took</dt>
          <dd>{request.durationMs === null ? "not recorded" : length(request.durationMs)}</dd>
          <dt>Bytes</dt>
          <dd>
            {bytes(request.requestBytes)} up, {bytes(request.responseBytes)} down
          </dd>
          <Pivot name="App" field="app" value={request.app} />
          <Pivot name="Address" field="ip" value={request.ip} />
          <Pivot name="Agent" field="agent" value={request.userAgent} />
          {request.flows.map((flow) => (
            <Pivot key={flow} name="Flow" field="flow" value={flow} />
          ))}
          <dt>Id</dt>
          <dd className="mono wrap">
            <Text of={request.requestId} />
          </dd>
        </dl>
        <div>
          <button type="button" onClick={copy}>
            <Icon name="copy" /> {copied ? "Copied" : "Copy as curl"}
          </button>
        </div>
      </div>

      {request.attacks.length > 0 && (
        <section className="stack tight">
          <h3>Attacks</h3>
          {request.attacks.map((attack, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: detections have no identity but their place
            <div key={at} className="detection stack tight">
              <div className="row">
                <span className="badge bad">
                  <Icon name="shield" size={12} />
                  <Text of={attack.type} />
                </span>
                {attack.subtype && (
                  <span className="badge">
                    <Text of={attack.subtype} />
                  </span>
                )}
                <span className={attack.blocked ? "badge good" : "badge warn"}>
                  {attack.blocked ? "blocked" : "not blocked"}
                </span>
                <SessionsWith field="attack" value={attack.type} />
              </div>
              {attack.point && (
                <code className="wrap">
                  <Text of={attack.point} />
                </code>
              )}
              {attack.payload && (
                <pre className="wrap">
                  <Text of={attack.payload} lines />
                </pre>
              )}
            </div>
          ))}
        </section>
      )}

      {request.context.length > 0 && (
        <section className="stack tight">
          <h3>Context</h3>
          <dl className="facts">
            {request.context.map(({ name, type, value }) =>
              type === "USER" ? (
                <Pivot key={name} name={name} field="user" value={value} />
              ) : type === "ROLE" ? (
                <Pivot key={name} name={name} field="role" value={value} />
              ) : (
                <Pivot key={name} name={name} field="param" value={value} given={`${name}=${value}`} />
              ),
            )}
          </dl>
        </section>
      )}

      <MessageView title="Request" message={request.request} />
      <MessageView title="Response" message={request.response} />
      <Why why={request.why} />
    </div>
  );
}

function SessionsWith({ field, value }: { field: RequestField; value: string }) {
  return (
    <Link
      to="/sessions"
      search={({ tz }) => ({ q: print([ofRequest(field, value)]), ...(tz === undefined ? {} : { tz }) })}
      className="small pivot"
    >
      sessions with this
    </Link>
  );
}

function Pivot({
  name,
  field,
  value,
  given,
}: {
  name: string;
  field: RequestField;
  value: string | null;
  given?: string;
}) {
  if (value === null || value === "") return null;
  return (
    <>
      <dt>
        <Text of={name} />
      </dt>
      <dd className="wrap">
        <Text of={value} /> <SessionsWith field={field} value={given ?? value} />
      </dd>
    </>
  );
}

function MessageView({ title, message }: { title: string; message: Found["request"] }) {
  const { headers, cookies, form, body } = message;
  if (headers.length + cookies.length + form.length === 0 && body === null) {
    return (
      <section className="stack tight">
        <h3>{title}</h3>
        <p className="muted small">Nothing of it was recorded.</p>
      </section>
    );
  }
  return (
    <section className="stack tight">
      <h3>{title}</h3>
      <Pairs title="Headers" pairs={headers} />
      <Pairs title="Cookies" pairs={cookies} />
      <Pairs title="Form" pairs={form} />
      {body !== null && <Body body={body} json={message.bodyIsJson} />}
    </section>
  );
}

function Pairs({ title, pairs }: { title: string; pairs: Found["request"]["headers"] }) {
  if (pairs.length === 0) return null;
  return (
    <details open={pairs.length <= 12}>
      <summary>
        {title} <span className="muted">{count(pairs.length)}</span>
      </summary>
      <dl className="pairs mono">
        {pairs.map(({ name, value }, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a name may repeat with the same value
          <div key={at}>
            <dt>
              <Text of={name} />
            </dt>
            <dd className="wrap">
              <Text of={value} />
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

/** Longer bodies are folded: a large text freezes a page. */
const BODY_MAX = 8192;

function Body({ body, json }: { body: string; json: boolean }) {
  const [whole, setWhole] = useState(false);
  const [raw, setRaw] = useState(false);
  const cut = body.length > BODY_MAX && !whole;
  const part = cut ? body.slice(0, BODY_MAX) : body;
  return (
    <div className="stack tight">
      <div className="row spread">
        <span className="muted small">
          Body, {count(body.length)} characters{json ? ", JSON" : ""}
        </span>
        {json && (
          <button type="button" className="quiet" aria-pressed={raw} onClick={() => setRaw(!raw)}>
            As sent
          </button>
        )}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard */}
      <pre className="body wrap" role="region" tabIndex={0} aria-label="Body">
        <Text of={json && !raw ? indented(part) : part} lines />
      </pre>
      {cut && (
        <button type="button" onClick={() => setWhole(true)}>
          Show the other {count(body.length - BODY_MAX)} characters
        </button>
      )}
    </div>
  );
}

function Why({ why }: { why: Found["why"] }) {
  const decided = why.find((tried) => tried.worked);
  const others = why.filter((tried) => !tried.worked);
  return (
    <section className="stack tight">
      <h3>Why it is in this session</h3>
      {decided && (
        <div className="stack tight">
          <div className="row">
            <span className="badge accent">Key</span>
            <strong>
              <Text of={decided.key} />
            </strong>
          </div>
          <code className="wrap">
            <Text of={decided.point} />
          </code>
          <span className="wrap small">
            <Text of={decided.reason} />
          </span>
        </div>
      )}
      {others.length > 0 && (
        <details>
          <summary>
            Tried before <span className="muted">{count(others.length)}</span>
          </summary>
          <dl className="pairs">
            {others.map(({ key, point, reason }) => (
              <div key={key}>
                <dt>
                  <Text of={key} />
                </dt>
                <dd className="wrap">
                  <Text of={reason} />
                  <br />
                  <code className="muted">
                    <Text of={point} />
                  </code>
                </dd>
              </div>
            ))}
          </dl>
        </details>
      )}
    </section>
  );
}
