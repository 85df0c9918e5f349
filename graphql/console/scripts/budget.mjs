// How large the console may be, compressed as it is sent: what the first screen loads, each part that
// is loaded later, and all of it. Beyond that the build fails.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const FIRST = 220;
const LATER = 120;
const ALL = 700;

export function budget(dist) {
  const page = readFileSync(join(dist, "index.html"), "utf8");
  const wrong = [];
  let first = 0;
  let all = 0;
  for (const name of readdirSync(join(dist, "assets")).sort()) {
    if (name.endsWith(".txt")) continue;
    const size = gzipSync(readFileSync(join(dist, "assets", name))).length / 1024;
    all += size;
    if (page.includes(`/assets/${name}`)) first += size;
    else if (size > LATER) wrong.push(`${name} has ${size.toFixed(0)} KiB, more than ${LATER}`);
  }
  if (first > FIRST) wrong.push(`the first screen loads ${first.toFixed(0)} KiB, more than ${FIRST}`);
  if (all > ALL) wrong.push(`all of it has ${all.toFixed(0)} KiB, more than ${ALL}`);
  console.log(`budget: first screen ${first.toFixed(1)} of ${FIRST} KiB, all ${all.toFixed(1)} of ${ALL} KiB (gzip)`);
  return wrong;
}
