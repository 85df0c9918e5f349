// A browser, and pages that fail the test when anything goes wrong in them: an error, a report of the
// content security policy, a request to another host.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const launch = () => chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

/** A page of its own profile. `wrong` collects what went wrong; `lost` lets a lost server pass. */
export async function open(browser, base, path, options = {}) {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1440, height: options.height ?? 900 },
    colorScheme: options.theme ?? "light",
    bypassCSP: options.bypassCSP ?? false,
    acceptDownloads: true,
    reducedMotion: "reduce",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const wrong = [];
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // A busy server may ask to try again, and the page does.
    const again = /status of 503/.test(message.text());
    if (message.type() === "error" && !again) wrong.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith("data:") && !url.startsWith("blob:")) wrong.push(`request to ${url}`);
  });
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(base + path);
  return {
    page,
    wrong,
    close: async ({ lost = false } = {}) => {
      await context.close();
      const left = lost ? wrong.filter((text) => !/Failed to load resource|ERR_|WebSocket/.test(text)) : wrong;
      if (left.length > 0) throw new Error(`${path}: ${left.join("; ")}`);
    },
  };
}

const STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** What axe finds against WCAG 2.2 AA and its own best practices; `colours`: only what a theme changes. */
export async function violations(page, colours = false) {
  await page.evaluate(axe);
  const runOnly = colours ? { type: "rule", values: ["color-contrast"] } : STANDARDS;
  const { violations: found } = await page.evaluate((only) => globalThis.axe.run(document, { runOnly: only }), runOnly);
  return found.map(({ id, nodes }) => {
    const told = nodes
      .slice(0, 3)
      .map(({ html, failureSummary }) => `${html} ${failureSummary}`.replaceAll(/\s+/g, " ").slice(0, 400));
    return `${id}: ${told.join(" | ")}`;
  });
}
