// What several checks need: pushing requests, and waiting for something with a deadline.

/** A request of the identity (namespace `session-id`) `session`, as a line of NDJSON. */
export function line(session, id, more = {}) {
  return JSON.stringify({
    id,
    ts: Date.now() - 1000,
    method: 'GET',
    url: 'https://shop.example/orders/17?x=1',
    status: 200,
    duration_ms: 12.5,
    ip: '192.0.2.7',
    user_agent: 'e2e',
    request: { headers: { 'x-session-id': session } },
    ...more,
  });
}

/** Pushes lines; the answer comes when they are committed. */
export async function push({ base }, lines, headers = {}) {
  const response = await fetch(`${base}/v1/requests`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson', ...headers },
    body: typeof lines === 'string' || lines instanceof Uint8Array ? lines : lines.join('\n'),
  });
  return { status: response.status, body: await response.json() };
}

/** Posts an operation and answers status, headers and body. */
export async function post({ graphql }, query, variables, headers = {}) {
  const response = await fetch(graphql, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** Fails when `promise` takes longer. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Reads an async iterator until `done(value)`; answers all values. */
export async function until(iterator, what, done) {
  const seen = [];
  for (;;) {
    const { value, done: ended } = await within(20_000, what, iterator.next());
    if (ended) throw new Error(`${what}: ended after ${seen.length} values`);
    if (value.errors) throw new Error(`${what}: ${JSON.stringify(value.errors)}`);
    seen.push(value);
    if (done(value, seen)) return seen;
  }
}
