// An operation with the types of its result and its variables.

export interface Document<Result, Variables> {
  readonly name: string;
  readonly text: string;
  /** For the type checker alone; never there. */
  readonly types?: (variables: Variables) => Result;
}

export type ResultOf<D> = D extends Document<infer Result, never> ? Result : never;
