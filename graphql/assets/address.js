// What the address of the page asks GraphiQL to begin with: `?query=...&variables=...`.

/** Properties of GraphiQL; none without a query: the page then shows what it had when last left. */
export function asked(search) {
  const params = new URLSearchParams(search);
  const query = params.get('query');
  return query ? { query, variables: params.get('variables') ?? '' } : {};
}
