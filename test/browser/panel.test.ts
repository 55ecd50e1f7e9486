import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import type { Overview } from "../../src/api/panel-types.ts";
import { NO_CHROMIUM } from "../helpers/chromium.ts";
import type { Page } from "../helpers/chromium.ts";
import type { AddedUser } from "../helpers/daemon.ts";
import { bearer, call, initialize, json } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";
import { go, openForm, openPanel, speak, trapped, typeKeys } from "./open-panel.ts";

const PICTURES = fileURLToPath(new URL("../../docs/screenshots/", import.meta.url));
const LANGUAGES = ["en", "zh"] as const;
const PLACES = ["now", "users", "servers", "audit", "requests", "logs", "machine"];

const says = (text: string): object => ({
  type: "stdio",
  command: process.execPath,
  // In base64, because in a config `${` stands for what is filled in.
  args: [
    "-e",
    `console.error(String(Buffer.from(${JSON.stringify(Buffer.from(text).toString("base64"))}, 'base64'))); console.error("x".repeat(2 ** 20)); process.exit(3)`,
  ],
});

const count = async (page: Page, selector: string): Promise<number> =>
  Number(await page.run(`document.querySelectorAll(${JSON.stringify(selector)}).length`));

test(
  "the form of a server says what is wrong with headers while one types, and never had their values",
  { skip: NO_CHROMIUM },
  async (t) => {
    const remote = await record(t);
    const { page, order, daemon } = await openPanel(t);
    const EXAMPLES = [
      '{\n  "Authorization": "Bearer your_access_token_here"\n}',
      '{\n  "Authorization": "Bearer your_token",\n  "X-Custom-Header": "custom_value",\n  "Content-Type": "application/json"\n}',
    ];
    const WORDS = {
      en: ["Headers are malformed: they must be valid JSON", "Headers must be an object"],
      zh: ["Headers 格式错误：必须是有效的 JSON 格式", "Headers 必须是一个对象"],
    };
    const problem = `document.querySelector("#headers-problem").textContent`;
    for (const language of LANGUAGES) {
      await go(page, "servers");
      await speak(page, language);
      await openForm(page);
      const [notJson, noObject] = WORDS[language];
      for (const text of EXAMPLES) {
        const seen = await typeKeys(page, "#headers", text, problem);
        assert.deepEqual(new Set(seen), new Set([notJson, ""]), text);
        assert.equal(seen.at(-1), "");
        assert.ok(seen.slice(0, -1).every((one) => one === notJson));
      }
      const list = await typeKeys(page, "#headers", '["Authorization", "Bearer token"]', problem);
      assert.deepEqual([list[0], list.at(-1)], [notJson, noObject]);
      const single = await typeKeys(page, "#headers", "{'a': 1}", problem);
      assert.equal(single.at(-1), notJson);
    }
    await speak(page, "en");
    await openForm(page);
    await typeKeys(
      page,
      "#headers",
      '{"Authorization":"Bearer canary-of-the-form","X-Two":"2"}',
      "0",
    );
    await page.click("#format");
    assert.equal(
      await page.run(`document.querySelector("#headers").value`),
      '{\n  "Authorization": "Bearer canary-of-the-form",\n  "X-Two": "2"\n}',
    );
    await page.type("#name", "Drawing Server");
    await page.type("#url", `${remote.origin}/mcp`);
    await page.click("#save");
    await page.shows(/Set: Authorization, X-Two/);

    await order("PUT", "/api/groups/all/grants?server=drawing-server");
    const { key } = await daemon.addUser("alice");
    const heads = async (): Promise<unknown[]> => {
      const headers = [...bearer(key.secret), ...json];
      const before = remote.requests.length;
      const path = "/u/alice/drawing-server/mcp";
      await ask(daemon.port, { method: "POST", path, headers, body: initialize() });
      const post = remote.requests.slice(before).find(({ method }) => method === "POST");
      return [post?.headers["authorization"], post?.headers["x-two"]];
    };
    assert.deepEqual(await heads(), ["Bearer canary-of-the-form", "2"]);
    // Loaded anew the page has the names alone, and saving that keeps the values.
    await page.send("Page.reload");
    await page.shows(/Set: Authorization, X-Two/);
    assert.equal(
      await page.run(`document.querySelector("#headers").value`),
      '{\n  "Authorization": null,\n  "X-Two": null\n}',
    );
    const html = String(await page.run("document.documentElement.outerHTML"));
    assert.ok(!html.includes("canary-of-the-form"));
    await page.type("#description", "draws");
    await page.click("#save");
    await until(async () => {
      const { configs } = await order<{ configs: { description?: string }[] }>(
        "GET",
        "/api/mcp/configs",
      );
      return configs.some(({ description }) => description === "draws");
    }, "it is saved again");
    assert.deepEqual(await heads(), ["Bearer canary-of-the-form", "2"]);
    assert.deepEqual(await trapped(page), []);
    // What it would end is told, and its name typed, before it goes.
    await until(
      async () => await page.run(`document.querySelector("#remove-server") !== null`),
      "",
    );
    await page.click("#remove-server");
    await page.shows(/Ends now: \d users/);
    assert.equal(await page.run(`document.querySelector("#do-it").disabled`), true);
    await typeKeys(page, "#typed-name", "drawing-server", "0");
    await page.click("#do-it");
    await until(async () => !(await page.text()).includes("Drawing Server"), "it is gone");
  },
);

const PAYLOADS = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(2)>",
  "<svg/onload=alert(3)>",
  '<iframe srcdoc="<script>parent.alert(4)</script>"></iframe>',
  "<h1>INJECTED</h1>",
  "javascript:alert(6)",
  "data:text/html,<script>alert(7)</script>",
  "\u202ereversed\u2066",
  "\u001b[31mred\u0007",
  "{{constructor.constructor('alert(8)')()}}",
  "__proto__",
  "constructor",
  "${alert(9)}",
  "<a href='javascript:alert(10)'>press</a>",
  "<style>*{display:none}</style>",
  "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(11)>",
  "<base href=//evil.example>",
  "<meta http-equiv=refresh content=0;url=//evil.example>",
  "<form action=//evil.example><button>press</button></form>",
  "x".repeat(2_000),
];

/** Sixty: each as it is, and after what ends an attribute, a field or a table. */
const HOSTILE = ["", "\"'>", "</textarea></pre></td></table>"].flatMap((end) =>
  PAYLOADS.map((payload) => end + payload),
);
/** Names of people's may not hold these, and none is longer. */
const NAMES = HOSTILE.filter((text) => !/\p{Cc}/u.test(text)).map((text) => text.slice(0, 90));

test(
  "hostile texts in names, labels, logs, agents and causes are text in every place of the panel",
  { skip: NO_CHROMIUM },
  async (t) => {
    const words = HOSTILE.join(" ");
    const { page, order, daemon } = await openPanel(t, { loud: says(words) });
    const { key } = await order<AddedUser>("POST", "/api/users", {
      user: "mallory",
      name: HOSTILE[0],
      email: "<img/src=x/onerror=alert(12)>@example.com",
    });
    for (const label of NAMES) await order("POST", "/api/users/mallory/keys", { label });
    for (const [at, text] of NAMES.filter((_, nth) => nth % 6 === 0).entries())
      await order("POST", "/api/mcp/configs", {
        name: `${text}${at}`,
        description: text,
        url: `http://127.0.0.1:9/${encodeURIComponent(text)}`,
        enabled: false,
      });
    const headers = [...bearer(key.secret), ...json, "user-agent", HOSTILE[1]!];
    const knock = async (path: string, body: string): Promise<unknown> =>
      await ask(daemon.port, { method: "POST", path, headers, body });
    await knock("/u/mallory/loud/mcp", initialize());
    await knock(`/u/mallory/${encodeURIComponent(HOSTILE[0]!)}/mcp`, initialize());
    await knock("/u/mallory/echo/mcp", call(1, "<img src=x onerror=alert(13)>"));
    const places = [...PLACES, "users?name=mallory", "logs?user=mallory&server=loud"];
    const { configs } = await order<{ configs: { id: string; origin: string }[] }>(
      "GET",
      "/api/mcp/configs",
    );
    for (const { id, origin } of configs)
      if (origin === "rest") places.push(`servers?id=${encodeURIComponent(id)}`);
    const { requests } = await order<{ requests: { requestId: string }[] }>("GET", "/api/requests");
    for (const { requestId } of requests) places.push(`requests?id=${requestId}`);
    await page.send("Emulation.setDeviceMetricsOverride", {
      width: 360,
      height: 800,
      deviceScaleFactor: 1,
      mobile: false,
    });
    for (const place of places) {
      await go(page, place);
      assert.deepEqual(await trapped(page), [], place);
      const strange =
        "script:not([type=module]), iframe, style, svg[onload], img, h1 ~ h1, mglyph, base, meta[http-equiv]";
      assert.equal(await count(page, strange), 0, place);
      const links = await page.run(
        `[...document.links].filter(({ href }) => !href.startsWith(location.origin)).length`,
      );
      assert.equal(links, 0, place);
      const wide = await page.run("document.documentElement.scrollWidth");
      assert.ok(Number(wide) <= 360, `${place} is ${String(wide)} wide`);
      assert.doesNotMatch(await page.text(), /[\u202e\u2066]|(?!\s)\p{Cc}/u, place);
    }
    await go(page, "logs?user=mallory&server=loud");
    await page.shows(/<script>alert\(1\)<\/script>/);
    await go(page, "now");
    await page.shows(/mallory/);
  },
);

test(
  "no other page gets in while an admin is signed in, and the one that is open is out once its session ends",
  { skip: NO_CHROMIUM },
  async (t) => {
    const { page, order, browser, daemon, link } = await openPanel(t);
    const panel = `http://127.0.0.1:${daemon.admin?.port}`;
    const hostile = await serve(t, (_req, res) => {
      res.setHeader("content-type", "text/html");
      res.end(`<iframe name=inner src="${panel}/panel"></iframe>
        <form id=post method=post target=inner enctype=text/plain action="${panel}/api/users">
        <input name='{"user":"eve","x":"' value='"}'></form>`);
    });
    const stranger = await browser.page();
    for (const host of ["127.0.0.1", "localhost"]) {
      await stranger.goto(`http://${host}:${hostile.url.port}/`);
      const tries = await stranger.run(`(async () => {
        const body = JSON.stringify({ user: "eve" });
        const json = { "content-type": "application/json", "x-mcp-supervisor": "1" };
        const all = [
          {}, { mode: "no-cors" }, { credentials: "include" },
          { method: "POST", body }, { method: "POST", body, mode: "no-cors" },
          { method: "POST", body, headers: json, credentials: "include" },
          { method: "DELETE", headers: json },
        ];
        const told = [];
        for (const options of all)
          for (const path of ["/api/users", "/api/panel/sessions", "/api/overview", "/panel"]) {
            const text = await fetch(${JSON.stringify(panel)} + path, options)
              .then((answer) => answer.text()).catch(() => "");
            if (text !== "") told.push(path + " " + text);
          }
        document.querySelector("#post").submit();
        const opened = window.open(${JSON.stringify(`${panel}/panel`)});
        await new Promise((resolve) => setTimeout(resolve, 300));
        try { told.push(opened.document.body.innerText); } catch {}
        try { told.push(frames[0].document.body.innerText); } catch {}
        return told.filter((text) => text !== "");
      })()`);
      assert.deepEqual(tries, []);
    }
    assert.deepEqual(await order("GET", "/api/users"), { users: [] });
    // The code is gone from address and history, and good for nobody any more.
    const used = await link();
    await page.goto("about:blank");
    await page.goto(used);
    await page.shows(/Sign out/);
    assert.equal(await page.run("location.href"), `${panel}/panel`);
    const second = await browser.page();
    await second.goto(used);
    await second.shows(/not valid, or no longer valid/);
    assert.equal(await second.run("sessionStorage.length"), 0);

    await order("POST", "/api/users", { user: "alice" });
    await go(page, "logs?user=alice");
    await order("DELETE", "/api/panel/sessions");
    await page.shows(/You are signed out/);
    assert.equal(await page.run("sessionStorage.length"), 0);
    // By hand, and out again.
    const token = readFileSync(`${daemon.dataDir}/admin.token`, "utf8").trim();
    await page.submit("#token", token);
    await page.shows(/Sign out/);
    await page.click("#sign-out");
    await page.shows(/Admin token/);
    assert.equal(await page.run("sessionStorage.length"), 0);
    for (const secret of [token, new URL(used).hash.slice(1)])
      assert.ok(!String(await page.run("document.documentElement.outerHTML")).includes(secret));
  },
);

test(
  "a user is added, mended and removed by presses, and each failing one stands there with doctor's words",
  { skip: NO_CHROMIUM },
  async (t) => {
    const { page, order, daemon } = await openPanel(t, { loud: says("cannot open the mailbox") });
    await go(page, "users");
    await page.run(`document.querySelector("#add-user").open = true`);
    await page.type("#new-user", "alice");
    await page.click("#add-user [type=submit]");
    const secret = /mcps_\w{36}/.exec(await page.shows(/Access key of alice[^]*mcps_\w{36}/))![0];
    const headers = [...bearer(secret), ...json];
    const path = "/u/alice/loud/mcp";
    await ask(daemon.port, { method: "POST", path, headers, body: initialize() });
    await go(page, "now");
    const overview = await until(async () => {
      const now = await order<Overview>("GET", "/api/overview");
      return now.failing.length > 0 ? now : undefined;
    }, "somebody fails");
    const doctor = await daemon.cli(["doctor", "alice"], { isForPeople: true });
    const [line = ""] = doctor.stdout.split("\n");
    assert.equal(overview.failing[0]!.cause, line);
    await page.shows(/cannot open the mailbox/);
    assert.equal(await page.run(`document.querySelector(".failing .cause").textContent`), line);
    await order("POST", "/api/users/alice/disable");
    await page.shows(/alice is disabled/);
    await page.click("#mend-alice-enable");
    await until(
      async () =>
        (await order<{ users: { state: string }[] }>("GET", "/api/users")).users[0]?.state ===
        "enabled",
      "the button has enabled the user",
    );
    const echo = "/u/alice/echo/mcp";
    await ask(daemon.port, { method: "POST", path: echo, headers, body: initialize() });
    await go(page, "users?name=alice");
    const pressed = `document.querySelector("[data-test=sessions] button")`;
    await until(async () => await page.run(`${pressed} !== null`), "the session is listed");
    await page.run(`${pressed}.click()`);
    await page.shows(/Its calls are cut off/);
    await page.click("#do-it");
    await until(
      async () =>
        (await order<{ sessions: unknown[] }>("GET", "/api/sessions")).sessions.length === 0,
      "the session is ended",
    );
    await page.shows(/Doctor/);
    await page.click("#remove-user");
    assert.equal(await page.run(`document.querySelector("#do-it").disabled`), true);
    await typeKeys(page, "#typed-name", "alice", "0");
    await page.click("#do-it");
    await until(
      async () => (await order<{ users: unknown[] }>("GET", "/api/users")).users.length === 0,
      "the user is removed",
    );
    assert.deepEqual(await trapped(page), []);
  },
);

/** An hour that everybody knows: a call more each minute, and a gap of ten. */
function writeHour(dataDir: string): void {
  const db = new Database(join(dataDir, "mcp-supervisor.db"));
  const minute = Math.floor(Date.now() / 60_000);
  const insert = db.prepare(
    "INSERT OR REPLACE INTO history VALUES (?, 0, ?, ?, 0, ?, 0, ?, ?, ?, ?, 2, ?)",
  );
  for (let ago = 1; ago < 58; ago += 1) {
    if (ago > 30 && ago <= 40) continue;
    const wave = Math.round(20 + 15 * Math.sin(ago / 6));
    insert.run(
      (minute - ago) * 60_000,
      ago % 7 === 0 ? 3 : 0,
      wave,
      ago % 11 === 0 ? 2 : 0,
      wave * 60e6,
      wave * 2,
      58 - ago,
      ago % 5,
      20 + wave,
    );
  }
  db.close();
}

test(
  "the plots are what the hour was, a gap stays one, and all places are drawn; SCREENSHOTS=1 keeps the pictures",
  { skip: NO_CHROMIUM },
  async (t) => {
    const { page, daemon, order } = await openPanel(t, { mail: says("cannot open the mailbox") });
    writeHour(daemon.dataDir);
    const { key } = await daemon.addUser("alice", "token-of-alice");
    for (const user of ["bob", "carol", "dave"])
      await order("POST", "/api/users", { user, invite: true, name: `${user} Example` });
    const headers = [...bearer(key.secret), ...json];
    for (const server of ["mail", "echo"]) {
      const path = `/u/alice/${server}/mcp`;
      await ask(daemon.port, { method: "POST", path, headers, body: initialize() });
    }
    const drawing = await order<{ id: string }>("POST", "/api/mcp/configs", {
      name: "Drawing Server",
      url: "http://localhost:3001/sse",
      description: "AI drawing",
      headers: { Authorization: "Bearer token123" },
    });
    await page.send("Page.reload");
    await page.shows(/at most 57/);
    const moves = await page.run(
      `[...document.querySelectorAll("path.line")].map((path) => path.getAttribute("d").split("M").length - 1)`,
    );
    // A beginning, and another one behind the gap.
    assert.deepEqual(new Set(moves as number[]), new Set([2]));
    let bytes = 0;
    const places = Object.fromEntries(PLACES.map((place) => [place, place]));
    places["user"] = "users?name=alice";
    places["server"] = `servers?id=${drawing.id}`;
    places["logs"] = "logs?user=alice&server=mail";
    for (const width of [360, 1280])
      for (const scheme of ["light", "dark"] as const) {
        await page.look({ width, scheme });
        for (const language of LANGUAGES)
          for (const [name, place] of Object.entries(places)) {
            await go(page, place);
            await speak(page, language);
            await go(page, place);
            const shot = await page.send("Page.captureScreenshot", { format: "webp", quality: 15 });
            const data = Buffer.from(String(shot["data"]), "base64");
            bytes += data.length;
            if (process.env["SCREENSHOTS"] === "1")
              writeFileSync(`${PICTURES}panel-${name}-${language}-${width}-${scheme}.webp`, data);
          }
      }
    assert.ok(bytes < 1_500_000, `${bytes} bytes`);
    assert.deepEqual(await trapped(page), []);
  },
);

const AXE = (() => {
  try {
    return createRequire(import.meta.url).resolve("axe-core/axe.min.js");
  } catch {
    return "";
  }
})();

test(
  "axe finds nothing serious in any place of the panel, in either language and theme",
  { skip: NO_CHROMIUM || (existsSync(AXE) ? false : "axe-core is not installed") },
  async (t) => {
    const { page, daemon, order } = await openPanel(t, { loud: says("cannot open") });
    const { key } = await daemon.addUser("alice", "token-of-alice");
    const headers = [...bearer(key.secret), ...json];
    for (const server of ["loud", "echo"]) {
      const path = `/u/alice/${server}/mcp`;
      await ask(daemon.port, { method: "POST", path, headers, body: initialize() });
    }
    await order("POST", "/api/mcp/configs", {
      name: "Drawing",
      url: "http://127.0.0.1:9/mcp",
      headers: { Authorization: "Bearer x-canary" },
    });
    await order("POST", "/api/mcp/configs", { name: "Program", command: "x", env: { A: "1" } });
    const { configs } = await order<{ configs: { id: string; origin: string }[] }>(
      "GET",
      "/api/mcp/configs",
    );
    const own = configs.filter(({ origin }) => origin === "rest");
    const places = [...PLACES, "users?name=alice&form=token"];
    places.push(...own.map(({ id }) => `servers?id=${id}`));
    const source = readFileSync(AXE, "utf8");
    const found: string[] = [];
    for (const language of LANGUAGES)
      for (const theme of language === "en" ? ["light", "dark"] : ["light"]) {
        await page.send("Emulation.setEmulatedMedia", {
          features: [{ name: "prefers-color-scheme", value: theme }],
        });
        for (const place of places) {
          await go(page, place);
          await speak(page, language);
          await go(page, place);
          if ((await page.run("typeof axe")) !== "object") await page.run(`${source};0`);
          const wrong = await page.run(`axe.run(document, { resultTypes: ["violations"] }).then(
            ({ violations }) => violations
              .filter(({ impact }) => impact === "serious" || impact === "critical")
              .map(({ id, nodes }) => id + ": " + nodes[0].html.slice(0, 160)))`);
          for (const one of wrong as string[]) found.push(`${language} ${theme} ${place}: ${one}`);
        }
      }
    assert.deepEqual(found, []);
  },
);
