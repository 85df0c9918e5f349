// Writes src/api/generated.ts from src/api/documents.graphql and the server's schema: the types of
// each operation, and its text with the fragments it needs. `--check` only compares.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { codegen } from "@graphql-codegen/core";
import * as operations from "@graphql-codegen/typescript-operations";
import { buildASTSchema, parse, print, stripIgnoredCharacters, validate, visit } from "graphql";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = at("../src/api/generated.ts");

// Without its descriptions: another word in one of them is no other type.
const definitions = visit(parse(readFileSync(at("../../schema.graphql"), "utf8"), { noLocation: true }), {
  enter: (node) => ("description" in node && node.description ? { ...node, description: undefined } : undefined),
});
const schema = buildASTSchema(definitions);
const document = parse(readFileSync(at("../src/api/documents.graphql"), "utf8"));
const errors = validate(schema, document);
if (errors.length > 0) {
  for (const error of errors) console.error(`documents.graphql: ${error.message}`);
  process.exit(1);
}

const types = await codegen({
  filename: target,
  schema: definitions,
  schemaAst: schema,
  documents: [{ location: "documents.graphql", document }],
  config: {
    scalars: { Long: "number | string", DateTime: "string", EpochToken: "string", Cidr: "string", ID: "string" },
    enumType: "string-literal",
    enumsAsTypes: true,
    skipTypename: true,
    avoidOptionals: { field: true },
    immutableTypes: true,
    strictScalars: true,
    inlineFragmentTypes: "combine",
  },
  plugins: [{ operations: {} }],
  pluginMap: { operations },
});

// Each operation with its fragments, and theirs.
const fragments = new Map();
for (const definition of document.definitions) {
  if (definition.kind === "FragmentDefinition") fragments.set(definition.name.value, definition);
}
const needs = (definition, found = new Set()) => {
  visit(definition, {
    FragmentSpread({ name }) {
      if (found.has(name.value)) return;
      found.add(name.value);
      needs(fragments.get(name.value), found);
    },
  });
  return found;
};
const texts = document.definitions
  .filter((definition) => definition.kind === "OperationDefinition")
  .map((definition) => {
    const { value } = definition.name;
    const kind = definition.operation[0].toUpperCase() + definition.operation.slice(1);
    const all = [definition, ...[...needs(definition)].sort().map((name) => fragments.get(name))];
    const text = stripIgnoredCharacters(all.map(print).join("\n"));
    return `export const ${value}Document: Document<${value}${kind}, ${value}${kind}Variables> = {\n  name: "${value}",\n  text: ${JSON.stringify(text)},\n};\n`;
  });

const output = `// Written by scripts/codegen.mjs from documents.graphql. Do not edit.
import type { Document } from "./document";

${types.trim()}

${texts.join("\n")}`;

if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== output) {
    console.error("src/api/generated.ts is not what documents.graphql and the schema give: run `npm run codegen`");
    process.exit(1);
  }
} else {
  writeFileSync(target, output);
}
