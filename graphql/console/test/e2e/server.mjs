// The program on a loopback port with a store of its own, and what is pushed to it.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const program = process.env.SPOOR;
const config = fileURLToPath(new URL("../../../../configs/spoor.toml", import.meta.url));

const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

/** Waits until `ready` answers something, and answers that. */
export async function eventually(what, ready, ms = 45_000) {
  const end = Date.now() + ms;
  let last;
  while (Date.now() < end) {
    try {
      const found = await ready();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what}: not within ${ms} ms${last ? `: ${last}` : ""}`);
}

export class Server {
  #child;
  #log = "";

  static async start() {
    const server = new Server();
    server.directory = mkdtempSync(join(tmpdir(), "spoor-console-e2e-"));
    server.port = await freePort();
    server.base = `http://127.0.0.1:${server.port}`;
    await server.begin();
    return server;
  }

  async begin() {
    const given = [
      "serve",
      "--config",
      config,
      "--listen",
      `127.0.0.1:${this.port}`,
      "--state",
      join(this.directory, "state"),
    ];
    this.#child = spawn(program, given, { stdio: ["ignore", "ignore", "pipe"] });
    this.#child.stderr.on("data", (text) => {
      this.#log += text;
    });
    await eventually(
      "the server to be ready",
      async () => {
        if (this.#child.exitCode !== null) throw new Error(this.#log);
        return (await fetch(`${this.base}/readyz`)).ok;
      },
      60_000,
    );
  }

  /** As when the machine loses power. */
  async kill() {
    const ended = new Promise((resolve) => this.#child.on("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }

  async stop() {
    if (this.#child.exitCode === null) {
      const ended = new Promise((resolve) => this.#child.on("exit", resolve));
      this.#child.kill("SIGTERM");
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  async push(records) {
    const body = typeof records === "string" ? records : records.map((record) => JSON.stringify(record)).join("\n");
    const response = await fetch(`${this.base}/v1/requests`, { method: "POST", body });
    const answer = await response.json();
    if (!response.ok) throw new Error(JSON.stringify(answer));
    return answer;
  }

  async generate(requests, seed, start) {
    const given = ["generate", "--requests", String(requests), "--seed", String(seed), "--start", start];
    await this.push(execFileSync(program, given, { encoding: "utf8", maxBuffer: 1 << 28 }));
  }

  async ask(query, variables) {
    const response = await fetch(`${this.base}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await response.json();
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  }
}
