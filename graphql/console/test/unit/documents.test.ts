// Every operation of the console is one that the server's schema has.
import { readFileSync } from "node:fs";
import { buildSchema, parse, validate } from "graphql";
import { expect, test } from "vitest";
import * as generated from "../../src/api/generated";

const schema = buildSchema(readFileSync(new URL("../../../schema.graphql", import.meta.url), "utf8"));

test("every document is valid against the schema", () => {
  const documents = Object.entries(generated).filter(([name]) => name.endsWith("Document"));
  expect(documents.length).toBeGreaterThan(20);
  for (const [name, document] of documents) {
    const { text } = document as { text: string };
    expect(validate(schema, parse(text)), name).toEqual([]);
  }
});

test("a document of another schema is not", () => {
  const other = generated.StatusDocument.text.replace("watermark", "waterline");
  expect(validate(schema, parse(other))).not.toEqual([]);
});
