// The console in a real browser against the real server: the tasks of its users by mouse and by
// keyboard, hostile data, a server that is killed, two admins at once, and axe on every screen.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, violations } from "./browser.mjs";
import { eventually, Server } from "./server.mjs";

let server;
let browser;
const now = Date.now();
const at = (ago) => new Date(now - ago).toISOString();

/** Requests of an identity of its own. */
let made = 0;
const request = (who, more = {}) => ({
  id: `e2e-${made++}`,
  ts: new Date().toISOString(),
  app: "shop",
  method: "GET",
  host: "shop.example.com",
  path: "/e2e",
  status: 200,
  duration_ms: 3,
  ip: "192.0.2.9",
  user_agent: "e2e",
  request: { headers: { "x-session-id": who } },
  ...more,
});

const MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>";
const TRICK = "\u202egnp.exe\u0007\u200b";

before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  await server.generate(2500, 7, at(20 * 60_000));
  const scan = Array.from({ length: 8 }, (_, n) =>
    request("scanner-e2e-1", { ts: at(600_000 - n * 1000), path: "/wp-login.php", status: 404, user_agent: "scan" }),
  );
  const sqli = { type: "sqli", subtype: "union", point: "$request.query.id", payload: "1 UNION SELECT", blocked: true };
  scan.push(
    request("scanner-e2e-1", {
      ts: at(590_000),
      path: "/products",
      query: "id=1",
      status: 403,
      blocked: true,
      attacks: [sqli],
    }),
  );
  await server.push(scan);
  await server.push([
    request(`hostile${MARKUP}${TRICK}`, {
      ts: at(300_000),
      path: `/${MARKUP}/${TRICK}`,
      query: `q=${MARKUP}${TRICK}`,
      user_agent: `${MARKUP}${TRICK}`,
      request: {
        headers: { "x-session-id": `hostile${MARKUP}${TRICK}`, [`x-${MARKUP}`]: TRICK },
        body: `${MARKUP}\u001b[31m`,
      },
      attacks: [{ type: `xss${MARKUP}`, payload: `${MARKUP}${TRICK}`, point: MARKUP, blocked: false }],
    }),
  ]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const rows = (page, name = "Sessions") => page.getByRole("grid", { name }).locator("[data-key]");
const keys = (page) => rows(page).evaluateAll((all) => all.map((row) => row.getAttribute("data-key")));
const session = async (value) => {
  const { sessions } = await server.ask("query($v:[String!]){sessions(filter:{value:$v},first:1){nodes{sessionId}}}", {
    v: [value],
  });
  return sessions.nodes[0].sessionId;
};

test("an analyst finds, reads and comes back by keyboard alone", async () => {
  const { page, close } = await open(browser, server.base, "/");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await rows(page).first().waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("att");
  await page.getByRole("option", { name: "attack:" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.keyboard.type("sqli {status:403}");
  await page.keyboard.press("Enter");
  await page.waitForURL(/q=attack%3Asqli/);
  assert.match(decodeURIComponent(page.url()).replaceAll("+", " "), /q=attack:sqli status:403$/);
  await page.getByRole("list", { name: "Conditions" }).getByText("attack:sqli").waitFor();
  await page.keyboard.press("Tab");
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("o");
  await page.waitForURL(/-value/);
  await page.goBack();
  await page.waitForURL((url) => !/-value/.test(url.href));
  await rows(page).first().waitFor();
  await eventually("the focus to be in the list", async () => {
    await page.keyboard.press("j");
    return page.evaluate(() => document.activeElement.hasAttribute("data-key"));
  });
  const chosen = await page.evaluate(() => document.activeElement.getAttribute("data-key"));
  assert.ok(chosen, "a row has the focus");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/sessions\//);
  await page.getByRole("treegrid", { name: "Requests" }).locator("[data-key]").first().waitFor();
  await page.keyboard.press("j");
  const place = await page.evaluate(() => document.activeElement.getAttribute("data-key"));
  await page.keyboard.press("Enter");
  await page.waitForURL(/r=/);
  await page.getByText("Why it is in this session").waitFor();
  await eventually("the focus to be on the panel", () =>
    page.evaluate(() => document.activeElement.id === "request-title"),
  );
  await page.keyboard.press("Escape");
  await eventually("the focus to be back", () =>
    page.evaluate((key) => document.activeElement.getAttribute("data-key") === key, place),
  );
  await page.goBack();
  await eventually("the list to be as it was left", async () => {
    if (!/q=attack/.test(page.url())) await page.goBack();
    return page.evaluate((key) => document.activeElement.getAttribute("data-key") === key, chosen);
  });
  await close();
});

test("and by mouse: filter, sort, pivot, fold", async () => {
  const { page, close } = await open(browser, server.base, `/sessions/${await session("scanner-e2e-1")}`);
  const requests = page.getByRole("treegrid", { name: "Requests" });
  await requests.getByRole("button", { name: "Unfold 8 equal requests" }).click();
  assert.equal(await requests.locator("[data-key]").count(), 9);
  await requests.getByRole("button", { name: "Fold 8 equal requests" }).click();
  assert.equal(await requests.locator("[data-key]").count(), 2);
  await page.getByRole("button", { name: "With attacks" }).click();
  await eventually("only the attack to be left", async () => (await requests.locator("[data-key]").count()) === 1);
  assert.match(decodeURIComponent(page.url()), /rq=malicious:true/);
  await page.getByRole("link", { name: "All sessions with sqli" }).click();
  await page.waitForURL(/\/sessions\?q=attack/);
  await rows(page).first().waitFor();
  await page.getByRole("button", { name: "Requests", exact: true }).click();
  await page.waitForURL(/sort=-requests/);
  const { sessions } = await server.ask(
    '{sessions(filter:{request:{attack:["sqli"]}},first:100,orderBy:{by:REQUESTS}){nodes{id}}}',
  );
  await eventually("the order of the server", async () => {
    const shown = await keys(page);
    return shown.length > 0 && sessions.nodes.slice(0, shown.length).every(({ id }, n) => id === shown[n]);
  });
  await page.getByRole("button", { name: "is attack:sqli: exclude it" }).click();
  await page.waitForURL(/q=-attack/);
  await page.getByRole("button", { name: "Remove -attack:sqli" }).click();
  await page.waitForURL((url) => !url.searchParams.has("q"));
  await close();
});

test("what does not parse is shown and never asked, and the rows stay", async () => {
  const { page, close } = await open(browser, server.base, "/sessions");
  await rows(page).first().waitFor();
  const shown = await keys(page);
  await page.getByRole("combobox", { name: "Filter of sessions" }).fill("attack:sqli requests>=many");
  await page.keyboard.press("Enter");
  await page.getByText("is no number").waitFor();
  await page.getByText("The rows are of the filter before").waitFor();
  assert.deepEqual(await keys(page), shown);
  await close();
});

test("an address shows the same to somebody else, times in its zone included", async () => {
  const path = "/sessions?q=malicious%3Atrue&sort=-detections&cols=start,identity,detections,p95&tz=Asia%2FKathmandu";
  const one = await open(browser, server.base, path);
  await rows(one.page).first().waitFor();
  const text = await rows(one.page).first().innerText();
  const other = await open(browser, server.base, new URL(one.page.url()).pathname + new URL(one.page.url()).search);
  await rows(other.page).first().waitFor();
  assert.equal(await rows(other.page).first().innerText(), text);
  assert.deepEqual(await keys(other.page), await keys(one.page));
  assert.equal(await other.page.getByRole("combobox", { name: "Times in" }).inputValue(), "Asia/Kathmandu");
  const { sessions } = await server.ask(
    "{sessions(filter:{malicious:true},first:1,orderBy:{by:DETECTIONS}){nodes{start}}}",
  );
  const clock = new Intl.DateTimeFormat("en-GB", {
    timeZone: "Asia/Kathmandu",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  });
  assert.ok(text.includes(clock.format(new Date(sessions.nodes[0].start))), text);
  assert.deepEqual(await other.page.getByRole("columnheader").allTextContents(), [
    "Start",
    "Identity",
    "Attacks↓",
    "p95",
  ]);
  await one.close();
  await other.close();
});

test("live: cells change in place, new sessions wait, nothing moves, a pause holds", async () => {
  await server.push([request("live-one")]);
  const { page, close } = await open(browser, server.base, "/sessions");
  const row = rows(page).filter({ hasText: "live-one" });
  await row.waitFor();
  await row.focus();
  const before = await keys(page);
  const key = await row.getAttribute("data-key");
  await server.push([request("live-one"), request("live-one", { status: 500 }), request("live-two")]);
  await eventually("the count to change", async () => /\b3\b/.test(await row.innerText()));
  await page.getByRole("button", { name: /new session/ }).waitFor();
  assert.deepEqual(await keys(page), before, "nothing moves");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("data-key")), key, "the focus stays");
  await page.keyboard.press("p");
  await page.getByText("Paused").waitFor();
  await server.push([request("live-one")]);
  await eventually(
    "the change to wait",
    async () => !/^0 waiting$/.test(await page.getByText(/\d+ waiting/).innerText()),
  );
  assert.match(await row.innerText(), /\b3\b/);
  await page.keyboard.press("p");
  await eventually("the change to be shown", async () => /\b4\b/.test(await row.innerText()));
  await page.keyboard.press("n");
  await rows(page).filter({ hasText: "live-two" }).waitFor();
  assert.equal(await page.getByRole("button", { name: /new session/ }).count(), 0);
  await close();
});

test("hostile data is text: in the list, the session, the request, the refused records, the rules", async () => {
  const { page, close } = await open(browser, server.base, "/sessions?q=value~");
  await page.goto(`${server.base}/sessions`);
  const row = rows(page).filter({ hasText: "hostile" });
  await row.waitFor();
  const text = await row.innerText();
  assert.ok(text.includes("<img src=x"), text);
  await row.click();
  await page.getByRole("treegrid", { name: "Requests" }).locator("[data-key]").first().click();
  await page.getByText("Why it is in this session").waitFor();
  await page.getByRole("button", { name: "Copy as curl" }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.doesNotMatch(copied, /[\p{Cc}\p{Cf}]/u);
  const refused = `{"ts": "nonsense", "path": ${JSON.stringify(MARKUP)}}`;
  await fetch(`${server.base}/v1/requests`, { method: "POST", body: refused });
  await server.ask("mutation($i:CreateFlowInput!){createFlow(input:$i){errors{message}}}", {
    i: { flow: { name: MARKUP, endpoints: [{ path: MARKUP }] } },
  });
  const all = [await page.locator("body").innerText()];
  await page.goto(`${server.base}/status`);
  await page.getByRole("heading", { name: /Refused records, 1/ }).waitFor();
  all.push(await page.locator("body").innerText());
  await page.goto(`${server.base}/rules?part=flows`);
  await page.getByText("<img src=x", { exact: false }).first().waitFor();
  all.push(await page.locator("body").innerText());
  for (const shown of all) {
    assert.ok(shown.includes("<img src=x"), shown);
    assert.doesNotMatch(shown, /[\u202e\u200b]|[^\P{Cc}\n\t]/u);
  }
  assert.match(all[0], /\\u\{202e\}/);
  assert.equal(await page.locator("img, main script, iframe").count(), 0);
  await close();
});

test("an export is what the API says", async () => {
  const { page, close } = await open(browser, server.base, "/sessions?q=malicious%3Atrue&sort=-requests");
  await rows(page).first().waitFor();
  await page.getByRole("button", { name: "Export" }).click();
  await page.getByText(/sessions match/).waitFor();
  await page.getByRole("radio", { name: "JSON Lines" }).check();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Save" }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^spoor-sessions-epoch-\d+\.jsonl$/);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  const lines = Buffer.concat(chunks)
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const note = lines.pop();
  assert.equal(note.cut, false);
  const { sessions } = await server.ask(
    "{sessions(filter:{malicious:true},first:200,orderBy:{by:REQUESTS}){totalCount nodes{sessionId statistics{requests detections}}}}",
  );
  assert.equal(lines.length, sessions.totalCount);
  assert.deepEqual(
    lines.slice(0, 200).map(({ sessionId, statistics }) => [sessionId, statistics.requests, statistics.detections]),
    sessions.nodes.map(({ sessionId, statistics }) => [sessionId, statistics.requests, statistics.detections]),
  );
  await close();
});

test("a range is chosen on a chart, by dragging and by keyboard", async () => {
  const { page, close } = await open(browser, server.base, "/");
  const chart = page.getByRole("slider", { name: /^Traffic/ });
  await chart.waitFor();
  const box = await chart.boundingBox();
  await page.mouse.move(box.x + box.width * 0.3, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 60, { steps: 5 });
  await page.mouse.up();
  await page.waitForURL(/t=20\d\d-/);
  await page.getByRole("button", { name: "All that is kept", exact: true }).click();
  await page.waitForURL((url) => !url.searchParams.has("t"));
  await chart.focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("Enter");
  await page.waitForURL(/t=20\d\d-/);
  await close();
});

const order = async () => (await server.ask("{rules{version grouping{name}}}")).rules.grouping.map(({ name }) => name);

test("an admin edits and orders keys by keyboard, buttons and dragging", async () => {
  const { page, close } = await open(browser, server.base, "/rules");
  const list = page.getByRole("region", { name: "Grouping keys" });
  await list.getByText("login-answer").waitFor();
  const names = await order();
  await page.getByRole("listitem").filter({ hasText: "bearer" }).focus();
  await page.keyboard.press("Alt+ArrowUp");
  await page.getByRole("button", { name: "Apply the order" }).click();
  await eventually("the order to be in force", async () => (await order())[0] === "bearer");
  await page.getByRole("button", { name: "Move bearer down" }).click();
  await page.getByRole("button", { name: "Apply the order" }).click();
  await eventually("the order to be back", async () => (await order()).join() === names.join());
  await page
    .getByRole("listitem")
    .filter({ hasText: "token-in-query" })
    .dragTo(page.getByRole("listitem").filter({ hasText: "login-answer" }));
  await page.getByRole("button", { name: "Undo" }).click();

  await page.getByRole("button", { name: "New grouping key" }).click();
  await page.getByLabel("Name", { exact: true }).fill("tenant");
  await page.getByLabel("Point", { exact: true }).fill("$request.nonsense");
  await page.getByRole("button", { name: "Apply", exact: true }).click();
  await page.locator("#field-point[aria-invalid=true]").waitFor();
  await page.getByLabel("Point", { exact: true }).fill("$request.header.x-tenant");
  await page.getByRole("button", { name: "Apply", exact: true }).click();
  await page.getByRole("listitem").filter({ hasText: "tenant" }).first().waitFor();
  assert.ok((await order()).includes("tenant"));
  await page.getByRole("button", { name: "Remove tenant" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).click();
  await eventually("the key to be gone", async () => !(await order()).includes("tenant"));
  await close();
});

test("two admins at once: the second sees what the first did and decides", async () => {
  const one = await open(browser, server.base, "/rules?part=context");
  const other = await open(browser, server.base, "/rules?part=context");
  for (const { page } of [one, other]) {
    await page.getByRole("button", { name: "New context parameter" }).click();
    await page.getByLabel("Point", { exact: true }).fill("$request.query.tenant");
  }
  await one.page.getByLabel("Name", { exact: true }).fill("first");
  await one.page.getByRole("button", { name: "Apply", exact: true }).click();
  await one.page.getByRole("listitem").filter({ hasText: "first" }).first().waitFor();
  await other.page.getByLabel("Name", { exact: true }).fill("second");
  await other.page.getByRole("button", { name: "Apply", exact: true }).click();
  await other.page.getByRole("dialog", { name: "Somebody else changed the rules" }).waitFor();
  await other.page.getByText("Context parameters: first: added").waitFor();
  await other.page.getByRole("button", { name: /Apply mine to version/ }).click();
  await other.page.getByRole("listitem").filter({ hasText: "second" }).first().waitFor();
  await one.page.getByRole("button", { name: /is in force · show/ }).click();
  await one.page.getByRole("listitem").filter({ hasText: "second" }).first().waitFor();
  const { rules } = await server.ask("{rules{context{name}}}");
  assert.deepEqual(rules.context.map(({ name }) => name).slice(-2), ["first", "second"]);
  await one.close();
  await other.close();
});

test("a server that is killed and comes back is told, and nothing is lost or moved", async () => {
  await server.push([request("survivor")]);
  const { page, close } = await open(browser, server.base, "/sessions");
  const row = rows(page).filter({ hasText: "survivor" });
  await row.waitFor();
  const shown = await keys(page);
  await server.kill();
  await page.getByText("Disconnected").waitFor();
  assert.deepEqual(await keys(page), shown, "the rows stay");
  await server.begin();
  await server.push([request("survivor"), request("survivor"), request("newcomer")]);
  const retry = page.getByRole("button", { name: "Retry now" });
  await eventually("the feed to resume", async () => {
    if (await retry.isVisible()) await retry.click({ timeout: 1000 }).catch(() => {});
    return /\b3\b/.test(await row.innerText());
  });
  await page.getByText("Live", { exact: true }).waitFor();
  assert.deepEqual(await keys(page), shown, "nothing moves");
  await page.getByRole("button", { name: /new session/ }).click();
  await rows(page).filter({ hasText: "newcomer" }).waitFor();
  await close({ lost: true });
});

test("under a flood only the rows that are shown are followed, and the page says so", async () => {
  await server.push([request("calm")]);
  const { page, close } = await open(browser, server.base, "/sessions");
  const row = rows(page).filter({ hasText: "calm" });
  await row.waitFor();
  let wave = 0;
  await eventually("the page to say that it is busy", async () => {
    wave += 1;
    await server.push(Array.from({ length: 450 }, (_, n) => request(`flood-${wave}-${n}`)));
    await page.waitForTimeout(500);
    return page.getByRole("button", { name: /Very busy/ }).isVisible();
  });
  await server.push([request("calm")]);
  await eventually("the row to be current", async () => /\b2\b/.test(await row.innerText()));
  await page.getByRole("button", { name: /Very busy/ }).click();
  await rows(page)
    .filter({ hasText: `flood-${wave}-` })
    .first()
    .waitFor();
  assert.equal(await page.getByRole("button", { name: /Very busy/ }).count(), 0);
  await close();
});

test("no data, no match and no session are told apart", async () => {
  const { page, close } = await open(browser, server.base, "/sessions?q=user%3Anobody-has-this-name");
  await page.getByRole("heading", { name: "No session matches" }).waitFor();
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await rows(page).first().waitFor();
  await page.goto(`${server.base}/sessions/00000000000000000000000000000000.1`);
  await page.getByRole("heading", { name: "There is no such session" }).waitFor();
  await page.goto(`${server.base}/nonsense`);
  await page.getByRole("heading", { name: "There is no such page" }).waitFor();
  await close();
});

test("axe finds nothing on any screen in either theme, and nothing is wider than a phone", async () => {
  const id = await session("scanner-e2e-1");
  const { session: found } = await server.ask("query($id:ID!){session(id:$id){requests(first:9){nodes{requestId}}}}", {
    id,
  });
  const screens = [
    ["/", (page) => page.getByRole("slider").first()],
    [
      "/sessions?q=malicious%3Atrue+-user%3Anobody+nonsense",
      (page) => page.getByText("a field is expected", { exact: false }),
    ],
    ["/sessions", (page) => rows(page).first()],
    ["/sessions?q=user%3Anobody-has-this-name", (page) => page.getByText("No session matches")],
    [`/sessions/${id}`, (page) => page.getByRole("complementary", { name: "Statistics" })],
    [`/sessions/${id}?r=${found.requests.nodes[8].requestId}`, (page) => page.getByText("Why it is in this session")],
    ["/rules", (page) => page.getByText("login-answer")],
    ["/rules?part=built-in", (page) => page.getByText("PHPSESSID")],
    ["/rules?part=numbers", (page) => page.getByLabel("Zone of days")],
    ["/status", (page) => page.getByText("Refused records")],
    ["/settings", (page) => page.getByRole("heading", { name: "Theme" })],
  ];
  const wrong = [];
  await Promise.all(
    ["light", "dark"].map(async (theme) => {
      const { page, close } = await open(browser, server.base, "/settings", { theme, bypassCSP: true });
      for (const [path, ready] of screens) {
        await page.setViewportSize({ width: 1440, height: 900 });
        await page.goto(server.base + path);
        await ready(page).first().waitFor();
        wrong.push(...(await violations(page, theme === "dark")).map((text) => `${theme} ${path}: ${text}`));
        await page.setViewportSize({ width: 320, height: 720 });
        await eventually(`${theme} ${path} to be no wider than 320 px`, () =>
          page.evaluate(() =>
            [document.documentElement, document.querySelector("main")].every((box) => box.scrollWidth <= innerWidth),
          ),
        );
      }
      await page.setViewportSize({ width: 1440, height: 900 });
      await page.goto(`${server.base}/rules`);
      await page.getByRole("button", { name: "Edit bearer" }).click();
      await page.getByRole("dialog").waitFor();
      wrong.push(...(await violations(page, theme === "dark")).map((text) => `${theme} dialog: ${text}`));
      await close();
    }),
  );
  assert.deepEqual(wrong, []);
});
