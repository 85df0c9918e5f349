// Queries and mutations: POST to /graphql of the server this page came from.
import type { Document } from "./document";

/** An answer with errors, or none at all. `code` is one of the API's closed codes, or HTTP's status. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
  /** Asking again may help. */
  get passing(): boolean {
    return ["UNREACHABLE", "UNAVAILABLE", "TIMEOUT", "INTERNAL"].includes(this.code);
  }
  get forbidden(): boolean {
    return this.code === "FORBIDDEN" || this.code === "UNAUTHENTICATED" || this.code === "401" || this.code === "403";
  }
}

interface Answer<Result> {
  readonly data?: Result | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}

export function errorOf(errors: NonNullable<Answer<unknown>["errors"]>): ApiError {
  const [first] = errors;
  return new ApiError(first?.extensions?.code ?? "INTERNAL", first?.message ?? "an error without a message");
}

export async function ask<Result, Variables>(
  document: Document<Result, Variables>,
  variables: Variables,
  signal?: AbortSignal,
): Promise<Result> {
  let response: Response;
  try {
    response = await fetch("/graphql", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/graphql-response+json, application/json" },
      body: JSON.stringify({ query: document.text, operationName: document.name, variables }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("UNREACHABLE", "The server does not answer.");
  }
  let answer: Answer<Result>;
  try {
    answer = (await response.json()) as Answer<Result>;
  } catch {
    throw new ApiError(String(response.status), `The server answered ${response.status} without JSON.`);
  }
  if (answer.errors?.length) throw errorOf(answer.errors);
  if (answer.data === undefined || answer.data === null)
    throw new ApiError(String(response.status), "An answer without data.");
  return answer.data;
}
