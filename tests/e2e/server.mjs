// Starts the program on a free loopback port with an empty store, and stops it.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { within } from './lib.mjs';

/** Answers the base URL and a function that stops the program and checks that it ended well. */
export async function start(program) {
  const dir = mkdtempSync(join(tmpdir(), 'spoor-e2e-'));
  const args = ['serve', '--listen', '127.0.0.1:0', '--state', join(dir, 'state')];
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'pipe'] });
  let log = '';
  const ended = new Promise((resolve) => child.on('exit', resolve));
  const address = new Promise((resolve, reject) => {
    child.stderr.on('data', (text) => {
      log += text;
      const found = log.match(/GraphQL at (http:\/\/[^/]+)\/graphql/);
      if (found) resolve(found[1]);
    });
    child.on('error', reject);
    ended.then((code) => reject(new Error(`ended with ${code}:\n${log}`)));
  });
  const stop = async () => {
    child.kill('SIGTERM');
    const code = await within(30_000, 'the program to stop', ended);
    rmSync(dir, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the program ended with ${code}:\n${log}`);
  };
  try {
    return { base: await within(60_000, 'the program to start', address), stop };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}
