// Pushing requests, and waiting until a subscription has told of them.

/** Pushes the n-th request of the identity `value`; resolves when it is committed. */
export async function push(base, value, n) {
  const response = await fetch(`${base}/v1/requests`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: JSON.stringify({
      id: `${value}-${n}`,
      ts: Date.now() - 1000,
      method: 'GET',
      url: 'https://shop.example/orders/17',
      status: 200,
      request: { headers: { 'x-session-id': value } },
    }),
  });
  if (!response.ok) throw new Error(`the push was answered with ${response.status}`);
}

/**
 * Subscribes; after the snapshot (one request) pushes another, and resolves when it was told of.
 * Fails when nothing comes in 30 seconds.
 */
export function changed(subscribe, pushAnother) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('no event in 30 seconds')), 30_000);
    let pushed = false;
    let subscription;
    const done = (error) => {
      clearTimeout(late);
      subscription?.unsubscribe();
      if (error) reject(error);
      else resolve();
    };
    const next = (data, error) => {
      if (error) return done(error);
      const { added, updated } = data.sessionChanges;
      const requests = [...added, ...updated].map(({ statistics }) => statistics.requests);
      if (requests.includes(2)) return done();
      if (requests.includes(1) && !pushed) {
        pushed = true;
        pushAnother().catch(done);
      }
    };
    subscription = subscribe(next, done);
  });
}
