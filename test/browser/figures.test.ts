import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { NO_CHROMIUM } from "../helpers/chromium.ts";
import type { Page } from "../helpers/chromium.ts";
import { until } from "../helpers/until.ts";
import { go, openPanel, speak } from "./open-panel.ts";

const MINUTE_MS = 60_000;
const PLACES = {
  panel: ["now", "users", "users?name=user7", "servers", "audit", "requests", "logs", "machine"],
  me: ["connect", "accounts", "playground", "activity"],
};

const say = (name: string, times: readonly number[], bound: number): void => {
  const all = times.map((ms) => Math.round(ms)).join(", ");
  console.log(`${name}: ${all} ms (a quiet machine: at most ${bound} ms)`);
};

/** Eight days in which there were a thousand instances. */
function writeDays(dataDir: string): void {
  const db = new Database(join(dataDir, "mcp-supervisor.db"), { timeout: 30_000 });
  const minutes = 8 * 24 * 60 - 5;
  const last = Math.floor(Date.now() / MINUTE_MS) - 1;
  db.exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${minutes - 1})
    INSERT OR REPLACE INTO history SELECT (${last} - i) * ${MINUTE_MS}, 0, 3, 1000, 0, 5, 2, 5e9, 300, i, 1, 5, 50 FROM n`);
  db.close();
}

/** When it first showed something, counted from when its address was typed. */
async function firstPaint(page: Page): Promise<number> {
  const entry = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime";
  return Number(await until(async () => await page.run(entry), "it shows something"));
}

/** The longest that an answer of the API took to come, of those that were asked for since. */
const slowest = async (page: Page): Promise<number> =>
  Number(
    await page.run(
      `Math.max(0, ...performance.getEntriesByType("resource").filter(({ name }) => name.includes("/api/")).map(({ duration }) => duration))`,
    ),
  );

test(
  "the figures of both pages with 300 users and the history of a thousand instances; none is judged here",
  { skip: NO_CHROMIUM },
  async (t) => {
    const { page, order, daemon, browser, link } = await openPanel(t);
    for (let at = 0; at < 300; at += 1) await order("POST", "/api/users", { user: `user${at}` });
    writeDays(daemon.dataDir);
    const paints: Record<string, number[]> = { panel: [], me: [] };
    for (let round = 0; round < 5; round += 1)
      for (const [name, url] of [
        ["panel", `http://127.0.0.1:${daemon.admin?.port}/panel`],
        ["me", `${daemon.origin}/me`],
      ] as const) {
        const fresh = await browser.page(await browser.stranger());
        await fresh.goto(url);
        await fresh.shows(/Sign in/);
        paints[name]!.push(await firstPaint(fresh));
        await fresh.send("Page.close");
      }
    for (const [name, times] of Object.entries(paints)) say(`first paint of ${name}`, times, 300);
    await page.goto("about:blank");
    await page.goto(await link());
    await page.shows(/Sign out/);
    for (const place of PLACES.panel) {
      await page.run("performance.clearResourceTimings()");
      await go(page, place);
      if (place === "now") {
        await page.click("#span-week");
        await page.shows(/at most 1000/);
      }
      say(`answers for the panel's ${place}`, [await slowest(page)], 200);
    }
  },
);

/** Each way in which there is little room: a telephone, twice the size, and texts of twice the size. */
const NARROW = [
  { name: "at 360 px", width: 360, scale: 1, text: "100%" },
  { name: "at 200 %", width: 640, scale: 2, text: "100%" },
  { name: "with texts of 200 %", width: 720, scale: 1, text: "200%" },
];

test(
  "no place of either page is wider than the window, at 360 px, at 200 % and with texts of twice the size",
  { skip: NO_CHROMIUM },
  async (t) => {
    const { page, daemon, browser, order } = await openPanel(t);
    const { key } = await daemon.addUser("user7", "token-of-user7");
    await order("POST", "/api/mcp/configs", {
      name: "a-server-with-a-name-that-does-not-end-where-one-thinks",
      url: `http://127.0.0.1:9/${"path/".repeat(30)}`,
    });
    const me = await browser.page(await browser.stranger());
    await me.goto(`${daemon.origin}/me`);
    await me.shows(/Sign in/);
    await me.submit("#key", key.secret);
    await me.shows(/Sign out/);
    const wide: string[] = [];
    for (const [name, tab] of Object.entries({ panel: page, me }))
      for (const { name: how, width, scale, text } of NARROW) {
        const size = { width, height: 800, deviceScaleFactor: scale, mobile: false };
        await tab.send("Emulation.setDeviceMetricsOverride", size);
        for (const language of ["en", "zh"]) {
          await speak(tab, language);
          for (const place of PLACES[name as keyof typeof PLACES]) {
            await go(tab, place);
            await tab.run(`document.documentElement.style.fontSize = "${text}"`);
            await tab.run(
              `document.querySelectorAll("details").forEach((one) => (one.open = true))`,
            );
            const needed = Number(await tab.run("document.documentElement.scrollWidth"));
            if (needed > width) wide.push(`${name} ${place} in ${language} ${how}: ${needed} px`);
          }
        }
      }
    assert.deepEqual(wide, []);
  },
);

test("the panel works by keyboard alone", { skip: NO_CHROMIUM }, async (t) => {
  const { page, order } = await openPanel(t);
  const focus = (): Promise<unknown> =>
    page.run("document.activeElement?.id || document.activeElement?.textContent");
  const tabTo = async (id: string): Promise<void> => {
    for (let count = 0; count < 60; count += 1) {
      if ((await focus()) === id) return;
      await page.press("Tab");
    }
    assert.fail(`${id} has no focus, but ${String(await focus())}`);
  };
  const users = async (): Promise<string[]> =>
    (await order<{ users: { user: string }[] }>("GET", "/api/users")).users.map(({ user }) => user);
  await tabTo("to-users");
  await page.press("Enter");
  await until(
    async () => (await page.run("!!document.querySelector('#add-user summary')")) === true,
    "the users are there",
  );
  await tabTo("Add a user");
  await page.press("Enter");
  await tabTo("new-user");
  await page.write("alice");
  await page.press("Enter");
  await until(async () => (await users()).includes("alice"), "the user is added");
  await until(
    async () =>
      (await page.run("[...document.links].some((one) => one.textContent === 'alice')")) === true,
    "the user is listed",
  );
  await tabTo("alice");
  await page.press("Enter");
  await until(
    async () => (await page.run("!!document.querySelector('#remove-user')")) === true,
    "the user is shown",
  );
  await tabTo("remove-user");
  await page.press("Enter");
  await until(
    async () => (await page.run("!!document.querySelector('dialog[open]')")) === true,
    "it asks",
  );
  await page.press("Escape");
  await until(async () => (await page.run("document.querySelector('dialog')")) === null, "no");
  assert.deepEqual(await users(), ["alice"]);
  await tabTo("remove-user");
  await page.press("Enter");
  await tabTo("typed-name");
  await page.write("alice");
  await tabTo("do-it");
  await page.press("Enter");
  await until(async () => (await users()).length === 0, "the user is removed");
});
