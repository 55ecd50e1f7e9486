import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { NO_OIDC, oidcConfig, openOidc } from "../fixtures/providers/oidc.ts";
import { CLIENT, StrictProvider } from "../fixtures/providers/strict.ts";
import { SignedIn } from "../helpers/browser-session.ts";
import { Chromium, NO_CHROMIUM } from "../helpers/chromium.ts";
import type { Page } from "../helpers/chromium.ts";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { clientSecret } from "../helpers/fed.ts";
import { fixture } from "../helpers/fixtures.ts";
import { freePort } from "../helpers/free-port.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";
import { PAYLOADS } from "./payloads.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const skip = NO_CHROMIUM || NO_OIDC;
const PLACES = ["connect", "accounts", "playground", "activity"];

let daemon: TestDaemon;
let browser: Chromium;
let key: string;
let oidc: Awaited<ReturnType<typeof openOidc>>;
const ends: (() => unknown)[] = [];

before(async () => {
  if (skip) return;
  const t = { after: (end: () => unknown) => void ends.unshift(end) } as unknown as TestContext;
  const feishu = await StrictProvider.open({ kind: "feishu-v2" });
  ends.unshift(() => feishu.close());
  const port = await freePort();
  const hostile = fileURLToPath(new URL("hostile-server.ts", import.meta.url));
  daemon = await startDaemon(t, {
    config: {
      servers: {
        everything: { command: process.execPath, args: [EVERYTHING, "stdio"] },
        hostile: { command: process.execPath, args: [hostile] },
        feishu: { builtin: "feishu-token", baseUrl: feishu.origin, sessionConfig: true },
        one: { ...fixture("http", "echo-sse"), provider: "sso" },
      },
      defaultServer: "everything",
      providers: { sso: oidcConfig(port, clientSecret(t)) },
      selfService: true,
      pages: { logs: true },
    },
  });
  oidc = await openOidc(t, port, `${daemon.origin}/connect/callback`);
  key = (await daemon.addUser("alice", "token-of-alice")).key.secret;
  browser = await Chromium.open(t, ["evil.example"]);
});
after(async () => {
  for (const end of ends) await end();
});

/** A tab of a browser of its own, in which the user has signed in. */
async function signedIn(place = "connect", secret = key): Promise<Page> {
  const page = await browser.page(await browser.stranger());
  await page.send("Page.addScriptToEvaluateOnNewDocument", {
    source:
      "self.__reports=[];addEventListener('securitypolicyviolation',e=>self.__reports.push(e.violatedDirective+' '+e.blockedURI+' '+e.sample))",
  });
  await page.goto(`${daemon.origin}/me#${place}`);
  await page.shows(/Sign in/);
  await page.submit("#key", secret);
  await page.shows(/Sign out/);
  return page;
}

const goTo = async (page: Page, place: string, shows: RegExp): Promise<string> => {
  await page.run(`location.hash = ${JSON.stringify(place)}`);
  return await page.shows(shows);
};

/** Chooses an option by its text, as a person does by keyboard. */
const choose = (page: Page, select: string, option: string): Promise<unknown> =>
  page.run(`{
    const select = document.querySelector(${JSON.stringify(select)});
    select.value = [...select.options].find(({ text }) => text === ${JSON.stringify(option)}).value;
    select.dispatchEvent(new Event("change", { bubbles: true }));
  }`);

async function pick(page: Page, server: string, tool: string): Promise<void> {
  await until(
    async () => (await page.run("!!document.querySelector('#server')")) === true,
    "servers",
  );
  await choose(page, "#server", server);
  await until(
    async () =>
      (await page.run(
        `[...(document.querySelector("#tool")?.options ?? [])].some(({ text }) => text === ${JSON.stringify(tool)})`,
      )) === true,
    `${tool} can be chosen`,
  );
  await choose(page, "#tool", tool);
}

const call = async (page: Page): Promise<void> => {
  await page.run("document.querySelector('#tool-form').requestSubmit()");
};

async function agree(page: Page): Promise<void> {
  if (/Sign-in/.test(await page.shows(/Sign-in|Authorize/))) {
    await page.type("[name=login]", "somebody");
    await page.submit("[name=password]", "anything");
    await page.shows(/Authorize/);
  }
  await page.click("[type=submit]");
}

test(
  "a stranger comes by an invite to a first call in two presses, and connects an account",
  { skip },
  async () => {
    await daemon.addUser("stranger");
    const { invite } = (await daemon.cli(["user", "invite", "stranger"])).json<{
      invite: { url: string };
    }>();
    const page = await browser.page(await browser.stranger());
    await page.goto(invite.url);
    await page.click("#invite button");
    await page.shows(/Your access key/);
    const secret = String(await page.run("document.querySelector('#given-key').textContent"));
    const snippet = String(
      await page.run(
        "[...document.querySelectorAll('#snippet-list details')].find(d => /everything: Cursor/.test(d.textContent)).querySelector('pre').textContent",
      ),
    );
    const { url, headers } = (
      JSON.parse(snippet) as {
        mcpServers: Record<string, { url: string; headers: Record<string, string> }>;
      }
    ).mcpServers["everything"]!;
    const filled = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [
        name,
        value.replace("${env:MCPS_KEY}", secret),
      ]),
    );
    const client = new Client({ name: "pasted", version: "1" });
    await client.connect(
      new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: filled } }),
    );
    const answer = await client.callTool({ name: "echo", arguments: { message: "first" } });
    assert.match(JSON.stringify(answer), /first/);
    await client.close();

    await page.click("#own-page button");
    await page.shows(/Sign out/);
    assert.equal(await page.run("location.href"), `${daemon.origin}/me`);
    await goTo(page, "accounts", /one[^]*not connected/);
    await page.click("#connect-one");
    await agree(page);
    await page.shows(/Account connected/);
    await page.goto(`${daemon.origin}/me#accounts`);
    await page.shows(/one[^]*connected[^]*sso/);
    await goTo(page, "playground", /Playground/);
    await pick(page, "one", "env");
    await call(page);
    await page.click("#ask-yes");
    await page.shows(new RegExp(oidc.issued.at(-1)!));
  },
);

test(
  "settings of a session are typed, used, and in no address, history, storage or log",
  { skip },
  async () => {
    const page = await signedIn("playground");
    await pick(page, "feishu", "get_feishu_app_token");
    await page.run("document.querySelector('#app-id').focus()");
    await page.write(CLIENT.id);
    await page.press("Tab");
    await page.write(CLIENT.secret);
    await call(page);
    if (await page.run("!!document.querySelector('#ask-yes')")) await page.click("#ask-yes");
    await page.shows(/app_access_token/);
    const kept = await page.run(
      "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href, document.cookie])",
    );
    assert.equal(String(kept).includes(CLIENT.secret), false);
    const history = JSON.stringify(await page.send("Page.getNavigationHistory"));
    assert.equal(history.includes(CLIENT.secret), false);
    assert.equal(
      page.requests.some(({ url }) => url.includes(CLIENT.secret)),
      false,
    );
    assert.equal(daemon.log().includes(CLIENT.secret), false);
    await page.click("#curl");
    assert.doesNotMatch(await page.text(), new RegExp(CLIENT.secret));
    await page.send("Page.reload");
    await pick(page, "feishu", "get_feishu_app_token");
    assert.equal(await page.run("document.querySelector('#app-secret').value"), "");
  },
);

test(
  "every tool of the reference server is called from its form, and schemas of every shape have one",
  { skip },
  async () => {
    const page = await signedIn("playground");
    const { tools } = await (
      await SignedIn.with(daemon, key)
    ).json<{ tools: { name: string }[] }>("GET", "tools?server=everything");
    assert.ok(tools.length >= 8);
    const fill = `for (const field of document.querySelectorAll("#tool-form input, #tool-form textarea")) {
    const numeric = field.inputMode === "numeric" || field.inputMode === "decimal";
    if (field.value === "") field.value = numeric ? "1" : field.tagName === "TEXTAREA" ? "{}" : "text";
  }`;
    for (const { name } of tools) {
      await pick(page, "everything", name);
      await page.run(fill);
      await call(page);
      if (await page.run("!!document.querySelector('#ask-yes')")) await page.click("#ask-yes");
      const shown = await until(async () => {
        const text = String(
          await page.run(
            "document.querySelector('#shown').innerText + document.querySelector('#tool-form ~ .error').innerText",
          ),
        );
        return /Result|did not work/.test(text) ? text : undefined;
      }, name);
      assert.doesNotMatch(shown, /OFFLINE|INTERNAL/, name);
    }
    const SHAPES: Record<string, readonly [string, RegExp]> = {
      "by-reference": [
        "document.querySelector('#tool-form input').value = '12345678901234567890'",
        /12345678901234567890|12345678901234567000/,
      ],
      variants: ["", /\{\}/],
      lists: ["", /"rows":\[\]/],
      wide: ["document.querySelector('#arguments').value = '{\"field7\":\"x\"}'", /"field7":"x"/],
      circle: ["", /circle/],
      slow: ["", /aaaa!/],
      bare: ["", /"args":\{\}/],
    };
    for (const [name, [act, wanted]] of Object.entries(SHAPES)) {
      await pick(page, "hostile", name);
      await page.run(act);
      await call(page);
      await until(
        async () =>
          wanted.test(String(await page.run("document.querySelector('#shown').innerText"))),
        name,
      );
    }
  },
);

test(
  "no tool is called but by a press: not by a link, on load, back or reload, and who destroys or says nothing is asked first",
  { skip },
  async () => {
    const page = await signedIn("connect");
    const calls = (): number =>
      page.requests.filter(({ url, method }) => method === "POST" && url.endsWith("/me/api/tools"))
        .length;
    const link = `${daemon.origin}/me#playground?server=hostile&tool=destroys&args=${encodeURIComponent('{"x":1}')}`;
    await page.goto("about:blank");
    await page.goto(link);
    await page.shows(/filled in by a link/);
    assert.match(
      String(await page.run("document.querySelector('#arguments')?.value ?? ''")) || "x",
      /./,
    );
    await page.send("Page.reload");
    await page.shows(/filled in by a link/);
    await page.run("history.back()");
    await page.run("history.forward()");
    assert.equal(calls(), 0);
    for (const name of ["destroys", "says-nothing-of-itself"]) {
      await pick(page, "hostile", name);
      const made = calls();
      await call(page);
      await until(
        async () => (await page.run("document.querySelector('dialog')?.open")) === true,
        "it asks",
      );
      await page.press("Enter");
      await until(
        async () => (await page.run("document.querySelector('dialog')")) === null,
        "it was refused",
      );
      assert.equal(calls(), made);
      await call(page);
      await page.click("#ask-yes");
      await until(() => calls() === made + 1, "it is called");
      await page.shows(/Result/);
    }
  },
);

test(
  "60 hostile texts in names, descriptions, schemas, results, labels and logs run nothing and break no layout",
  { skip },
  async () => {
    const page = await signedIn("playground");
    await page.look({ width: 360, scheme: "light" });
    const holds = async (what: string): Promise<void> => {
      assert.equal(await page.run("typeof __ran"), "undefined", what);
      const [wide, seen] = (await page.run(
        "[document.documentElement.scrollWidth, innerWidth]",
      )) as number[];
      assert.ok(wide! <= seen!, `${what}: ${wide} px`);
      assert.match(
        String(await page.run("getComputedStyle(document.querySelector('header')).display")),
        /flex/,
      );
    };
    await pick(page, "hostile", "tool-0");
    const count = Number(await page.run("document.querySelector('#tool').options.length"));
    assert.ok(count >= 60);
    for (let at = 0; at < 60; at += 1) {
      await page.run(
        `{ const tool = document.querySelector("#tool"); tool.value = "${at}"; tool.dispatchEvent(new Event("change")); }`,
      );
      await call(page);
      await until(
        async () => (await page.run("!!document.querySelector('#result')")) === true,
        `result ${at}`,
      );
      await holds(`payload ${at}`);
    }
    assert.equal(
      await page.run(
        "[...document.querySelectorAll('a[href]')].some(a => !/^https?:/.test(a.href))",
      ),
      false,
    );
    const session = await SignedIn.with(daemon, key);
    for (const payload of PAYLOADS)
      await session.ask("POST", "keys", { label: payload.replace(/\p{Cc}/gu, "").slice(0, 100) });
    await goTo(page, "connect", /Access keys[^]*script/);
    await holds("labels");
    await goTo(page, "activity", /Recent calls[^]*script/);
    await choose(page, "#logs-of", "hostile");
    await page.shows(/__ran=1[^]*xhref|__ran=1/);
    await holds("logs and calls");
    const reports = (await page.run("__reports")) as string[];
    // A picture of bytes that are none is not drawn, and nothing else was even tried.
    assert.deepEqual(
      reports.filter((report) => !report.startsWith("img-src")),
      [],
    );
  },
);

test(
  "other origins, frames and a server's own page neither read nor write in the name of who is signed in",
  { skip },
  async () => {
    const page = await signedIn("connect");
    const elsewhere = await serve(
      { after: (end: () => unknown) => void ends.unshift(end) } as unknown as TestContext,
      (_req, res) => {
        res.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><p>elsewhere</p>");
      },
    );
    const then = await (await SignedIn.with(daemon, key)).json<{ keys: unknown[] }>("GET", "keys");
    const attack = `(async () => {
    const outcomes = [];
    for (const mode of ["cors", "no-cors"])
      for (const [method, path] of [["GET", "/me/api/keys"], ["POST", "/me/api/keys"], ["GET", "/api/status"]])
        for (const headers of [{}, { "content-type": "application/json", "x-mcp-supervisor": "1" }, { "content-type": "text/plain" }])
          outcomes.push(await fetch("${daemon.origin}" + path, { method, mode, headers, credentials: "include", ...(method === "POST" ? { body: '{"label":"stolen"}' } : {}) })
            .then(async (answer) => answer.type === "opaque" ? "opaque" : answer.ok ? "READ " + path : "refused", () => "refused"));
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts allow-forms";
    frame.src = "${daemon.origin}/me";
    document.body.append(frame);
    await new Promise((done) => { frame.onload = done; });
    const form = document.createElement("form");
    form.method = "post"; form.action = "${daemon.origin}/me/api/keys"; form.target = "x"; form.enctype = "text/plain";
    return outcomes;
  })()`;
    for (const host of [`127.0.0.1:${elsewhere.url.port}`, `evil.example:${elsewhere.url.port}`]) {
      await page.goto(`http://${host}/`);
      const outcomes = (await page.run(attack)) as string[];
      assert.ok(Array.isArray(outcomes), host);
      assert.deepEqual(
        outcomes.filter((outcome) => outcome.startsWith("READ")),
        [],
        host,
      );
    }
    const now = await (await SignedIn.with(daemon, key)).json<{ keys: unknown[] }>("GET", "keys");
    assert.equal(now.keys.length, then.keys.length);
    // What a server sends is no page: it has neither script nor origin.
    await page.goto(`${daemon.origin}/u/alice/mcp`);
    assert.equal(await page.run("document.contentType"), "text/plain");
    await page.goto(`${daemon.origin}/me`);
    await page.shows(/Sign out/);
  },
);

test(
  "the open page is out when its key is revoked, and shows nothing of the user any more",
  { skip },
  async () => {
    const own = (await daemon.cli(["key", "issue", "alice"])).json<{
      id: string;
      secret: string;
    }>();
    const page = await signedIn("activity", own.secret);
    const other = await signedIn("activity", own.secret);
    await other.run(
      "[...document.querySelectorAll('button')].find((b) => /everywhere/.test(b.textContent)).click()",
    );
    await other.shows(/You are signed out/);
    await page.shows(/You are signed out/);
    await page.submit("#key", own.secret);
    await page.shows(/Recent calls/);
    await daemon.cli(["key", "revoke", own.id]);
    const shown = await page.shows(/You are signed out/);
    assert.doesNotMatch(shown, /alice|Recent calls/);
  },
);

test(
  "axe finds nothing serious on any place in either language, at 360 px and 200 %, light and dark",
  { skip },
  async () => {
    const page = await signedIn();
    const audit = async (where: string): Promise<void> => {
      const found = (await page.run(`(async () => {
      const { violations } = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"] });
      return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => id + " " + nodes.map(({ html }) => html).join(" | ").slice(0, 500));
    })()`)) as string[];
      assert.deepEqual(found, [], where);
      const [wide, seen] = (await page.run(
        "[document.documentElement.scrollWidth, innerWidth]",
      )) as number[];
      assert.ok(wide! <= seen!, `${where}: ${wide} px of ${seen}`);
    };
    await page.send("Runtime.evaluate", { expression: AXE });
    for (const [width, scheme] of [
      [360, "light"],
      [1280, "dark"],
    ] as const) {
      await page.look({ width, scheme });
      for (const language of ["en", "zh"]) {
        await page.click(`#in-${language}`);
        for (const place of PLACES) {
          await page.run(`location.hash = "${place}"`);
          await until(
            async () =>
              (await page.run(
                "!!document.querySelector('main h2') && !document.querySelector('[aria-busy=true]')",
              )) === true,
            place,
          );
          await audit(`${place} in ${language} at ${width} px, ${scheme}`);
        }
      }
    }
    await page.click("#sign-out");
    await page.shows(/登录/);
    await audit("the form to sign in");
  },
);

test("it works by keyboard alone", { skip }, async () => {
  const page = await browser.page(await browser.stranger());
  await page.goto(`${daemon.origin}/me`);
  await page.shows(/Sign in/);
  const focus = (): Promise<unknown> =>
    page.run("document.activeElement?.id || document.activeElement?.textContent");
  const tabTo = async (id: string): Promise<void> => {
    for (let count = 0; count < 40; count += 1) {
      if ((await focus()) === id) return;
      await page.press("Tab");
    }
    assert.fail(`${id} has no focus, but ${String(await focus())}`);
  };
  await tabTo("key");
  await page.write(key);
  await page.press("Enter");
  await page.shows(/Sign out/);
  await tabTo("to-playground");
  await page.press("Enter");
  await until(
    async () => (await page.run("!!document.querySelector('#call')")) === true,
    "the tools are there",
  );
  await tabTo("tool");
  await page.press("Tab");
  await tabTo("call");
  await page.press("Enter");
  await until(
    async () =>
      (await page.run(
        "!!document.querySelector('dialog[open], #result, #tool-form ~ .error:not(:empty)')",
      )) === true,
    "something came of it",
  );
});
