// Runs the clients that generate code or check types, then those that run, against Spoor:
//   SPOOR=target/debug/spoor node run.mjs
// Each step says what it does; the first that fails ends the run.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from '../server.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const bin = (name) => join(here, 'node_modules/.bin', name);

function step(what, program, args, cwd = here, env = {}) {
  const started = Date.now();
  try {
    execFileSync(program, args, { cwd, stdio: 'pipe', env: { ...process.env, ...env }, timeout: 240_000 });
  } catch (error) {
    console.log(`not ok ${what}\n${error.stdout ?? ''}${error.stderr ?? ''}${error.message}`);
    throw new Error(`${what}: failed`);
  }
  console.log(`ok ${what} (${Date.now() - started} ms)`);
}

for (const made of ['relay/src/__generated__', 'codegen/generated', 'tada/src/graphql-env.d.ts']) {
  rmSync(join(here, made), { recursive: true, force: true });
}
mkdirSync(join(here, 'relay/src/__generated__'));
step('relay-compiler takes the schema', bin('relay-compiler'), ['relay.config.json'], join(here, 'relay'));
step('graphql-codegen takes the schema', bin('graphql-codegen'), ['--config', 'codegen/codegen.ts']);
step('gql.tada takes the schema', bin('gql.tada'), ['generate-output', '-c', 'tada/tsconfig.json']);
step('what they made and infer compiles', bin('tsc'), ['-p', '.']);

const server = await start(process.env.SPOOR);
try {
  for (const client of ['apollo', 'urql']) {
    step(`${client} queries and subscribes`, process.execPath, [`run/${client}.mjs`], here, {
      SPOOR_URL: server.base,
    });
  }
  for (const [client, python] of [['gql', process.env.PYTHON_GQL], ['ariadne', process.env.PYTHON_ARIADNE]]) {
    step(`${client} (Python) queries and subscribes`, python, [`${client}_client.py`], join(here, '../python'), {
      SPOOR_URL: server.base,
    });
  }
} finally {
  await server.stop();
}
