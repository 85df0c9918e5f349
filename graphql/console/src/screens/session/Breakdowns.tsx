// What the requests of a session have in common, by field. A value narrows the list of requests, and
// leads to all sessions with it.
import { Link } from "@tanstack/react-router";
import type { SessionQuery, TopFragment } from "../../api/generated";
import type { RequestField } from "../../filter/fields";
import { print } from "../../filter/print";
import { ofRequest, type RequestTerm } from "../../filter/tree";
import { count, length, share, toNumber, useTimes } from "../../lib/format";
import { plain } from "../../lib/text";
import { Icon } from "../../ui/icons";
import { Text } from "../../ui/Text";
import { printTerms } from "./terms";

type Found = NonNullable<SessionQuery["session"]>;

interface Props {
  session: Found;
  terms: readonly RequestTerm[];
  put: (terms: readonly RequestTerm[]) => void;
}

export function Breakdowns({ session, terms, put }: Props) {
  const all: readonly [string, RequestField, TopFragment | null][] = [
    ["Attacks", "attack", session.byAttack],
    ["Endpoints", "endpoint", session.byEndpoint],
    ["Status", "status", session.byStatus],
    ["Users", "user", session.byUser],
    ["Roles", "role", session.byRole],
    ["Addresses", "ip", session.byAddress],
    ["Agents", "agent", session.byAgent],
    ["Flows", "flow", session.byFlow],
    ["Hosts", "host", session.byHost],
  ];
  return (
    <aside className="panel" aria-label="Statistics">
      <div className="stack">
        {all.map(([name, field, top]) =>
          top && top.values.length > 0 ? (
            <Top key={name} name={name} field={field} top={top} terms={terms} put={put} />
          ) : null,
        )}
        <Others session={session} />
      </div>
    </aside>
  );
}

function Top({
  name,
  field,
  top,
  terms,
  put,
}: { name: string; field: RequestField; top: TopFragment } & Omit<Props, "session">) {
  const rest = toNumber(top.distinct) - top.values.length;
  return (
    <section>
      <div className="row spread">
        <h3>{name}</h3>
        <span className="muted small">
          of {count(top.denominator.count)} {top.denominator.name}
        </span>
      </div>
      <ul className="tops">
        {top.values.map(({ value, count: times, share: part }) => {
          const term: RequestTerm = { kind: "term", field, values: [value] };
          const text = printTerms([term]);
          const on = terms.some((other) => printTerms([other]) === text);
          return (
            <li key={value} className={on ? "on" : ""}>
              <span className="top-bar" style={{ width: `${part * 100}%` }} />
              <button
                type="button"
                className="quiet top-value"
                aria-pressed={on}
                title={plain(value)}
                onClick={() =>
                  put(
                    on
                      ? terms.filter((other) => printTerms([other]) !== text)
                      : [...terms.filter((other) => other.field !== field), term],
                  )
                }
              >
                <span className="cut mono">
                  <Text of={value} />
                </span>
              </button>
              <span className="num">{count(times)}</span>
              <span className="num muted small">{share(part)}</span>
              <Link
                to="/sessions"
                search={({ tz }) => ({ q: print([ofRequest(field, value)]), ...(tz === undefined ? {} : { tz }) })}
                className="pivot-icon"
                aria-label={`All sessions with ${plain(value)}`}
                title="All sessions with this"
              >
                <Icon name="right" size={14} />
              </Link>
            </li>
          );
        })}
      </ul>
      {rest > 0 && <p className="muted small">and {count(rest)} more</p>}
    </section>
  );
}

function Others({ session }: { session: Found }) {
  const times = useTimes();
  const others = session.identity.sessions?.nodes.filter(({ sessionId }) => sessionId !== session.sessionId) ?? [];
  if (others.length === 0) return null;
  return (
    <section>
      <h3>Other sessions of this identity</h3>
      <ul className="others">
        {others.slice(0, 8).map((other) => (
          <li key={other.sessionId}>
            <Link
              to="/sessions/$id"
              params={{ id: other.sessionId }}
              search={({ tz }) => (tz === undefined ? {} : { tz })}
            >
              {times.near(other.start)}
            </Link>
            <span className="muted">{length(toNumber(other.durationMs))}</span>
            <span className="num">{count(other.statistics.requests)} requests</span>
            {toNumber(other.statistics.detections) > 0 && (
              <span className="badge bad">{count(other.statistics.detections)} attacks</span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
