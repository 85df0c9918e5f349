// What `make test` asks of the console: the generated types are those of the schema, the sources pass
// the type checker and the linter, the committed `dist` is what they build to, byte for byte, it is
// within its budget, and the tests pass: units, and with SPOOR (a program) a browser against a server.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { budget } from "./budget.mjs";

const home = fileURLToPath(new URL("..", import.meta.url));
const bin = (name) => join(home, "node_modules", ".bin", name);
let failed = 0;

function step(name, act) {
  const began = Date.now();
  const wrong = act();
  console.log(`${wrong ? "FAILED" : "ok"}: ${name}, ${((Date.now() - began) / 1000).toFixed(1)} s`);
  if (wrong) failed += 1;
}

// The tools run on the Node that runs this, which need not be the machine's.
const env = { ...process.env, NO_COLOR: "1", PATH: dirname(process.execPath) + delimiter + process.env.PATH };
const run = (program, ...given) => spawnSync(program, given, { cwd: home, stdio: "inherit", env }).status !== 0;

/** Files below a directory, with their bytes. */
function files(directory, below = "") {
  return readdirSync(join(directory, below), { withFileTypes: true }).flatMap((entry) => {
    const name = join(below, entry.name);
    return entry.isDirectory() ? files(directory, name) : [[name, readFileSync(join(directory, name))]];
  });
}

function rebuilt() {
  const other = mkdtempSync(join(tmpdir(), "spoor-console-"));
  try {
    if (run(bin("vite"), "build", "--outDir", other, "--emptyOutDir", "--logLevel", "warn")) return true;
    const built = new Map(files(other));
    const wrong = [];
    for (const [name, bytes] of files(join(home, "dist"))) {
      if (!built.get(name)?.equals(bytes)) wrong.push(name);
      built.delete(name);
    }
    wrong.push(...built.keys());
    for (const name of wrong)
      console.error(`dist/${name} is not what the sources build to: run \`make console\` and commit it`);
    return wrong.length > 0;
  } finally {
    rmSync(other, { recursive: true, force: true });
  }
}

step("types of the schema", () => run(process.execPath, "scripts/codegen.mjs", "--check"));
step("type checker", () => run(bin("tsc"), "--noEmit"));
step("linter", () => run(bin("biome"), "check", ".", "--error-on-warnings", "--reporter=summary"));
step("dist", rebuilt);
step("budget", () => {
  const wrong = budget(join(home, "dist"));
  for (const line of wrong) console.error(line);
  return wrong.length > 0;
});
step("unit tests", () => run(bin("vitest"), "run", "--reporter=dot"));
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!process.env.SPOOR) console.log("SKIPPED: no program is given as SPOOR, so no browser met a server");
else if (!existsSync(chromium)) console.log(`SKIPPED: there is no ${chromium}: see .ci/deps`);
else
  step("a browser against a server", () =>
    run(process.execPath, "--test", "--test-reporter=spec", "test/e2e/console.test.mjs"),
  );
process.exit(failed === 0 ? 0 : 1);
