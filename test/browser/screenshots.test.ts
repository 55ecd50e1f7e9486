import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { SignedIn } from "../helpers/browser-session.ts";
import { Chromium, NO_CHROMIUM } from "../helpers/chromium.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { until } from "../helpers/until.ts";

const FOLDER = fileURLToPath(new URL("../../docs/screenshots/", import.meta.url));
const MAX_BYTES = 1_500_000;
const PLACES = ["connect", "accounts", "playground", "activity"];

test(
  "each place of the users' page is drawn in both languages, widths and themes; SCREENSHOTS=1 keeps the pictures",
  { skip: NO_CHROMIUM },
  async (t) => {
    const daemon = await startDaemon(t, {
      config: {
        servers: {
          everything: { command: process.execPath, args: [EVERYTHING, "stdio"] },
          feishu: { builtin: "feishu-token", sessionConfig: true },
        },
        defaultServer: "everything",
        selfService: true,
        pages: { logs: true },
        publicUrl: "https://mcp.example.com",
      },
    });
    const { key } = await daemon.addUser("alice", "token-of-alice");
    const browser = await Chromium.open(t);
    const page = await browser.page();
    let bytes = 0;
    const take = async (name: string): Promise<void> => {
      const shot = await page.send("Page.captureScreenshot", { format: "webp", quality: 50 });
      const data = Buffer.from(String(shot["data"]), "base64");
      assert.ok(data.length > 2_000, name);
      bytes += data.length;
      if (process.env["SCREENSHOTS"] !== "1") return;
      mkdirSync(FOLDER, { recursive: true });
      writeFileSync(`${FOLDER}${name}.webp`, data);
    };
    const each = async (name: string, ready: string): Promise<void> => {
      for (const width of [360, 1280])
        for (const scheme of ["light", "dark"] as const) {
          await page.look({ width, scheme });
          for (const language of ["en", "zh"]) {
            await page.click(`#in-${language}`);
            await until(async () => (await page.run(ready)) === true, name);
            await take(`me-${name}-${language}-${width}-${scheme}`);
          }
        }
    };
    await page.goto(`${daemon.origin}/me`);
    await page.shows(/Sign in/);
    await each("sign-in", "!!document.querySelector('#key')");
    await page.click("#in-en");
    await page.submit("#key", key.secret);
    await page.shows(/Sign out/);
    const session = await SignedIn.with(daemon, key.secret);
    const echo = { method: "echo", args: { message: "hello" }, server: "everything", strict: true };
    await session.json("POST", "tools", echo);
    for (const place of PLACES) {
      await page.run(`location.hash = "${place}"`);
      await each(
        place,
        `!!document.querySelector("main h2") && !document.querySelector("[aria-busy=true]")${place === "playground" ? " && !!document.querySelector('#call')" : ""}`,
      );
    }
    assert.ok(bytes < MAX_BYTES, `${bytes} bytes`);
  },
);
