import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { NO_OIDC, oidcConfig, openOidc } from "../fixtures/providers/oidc.ts";
import { startForAlice } from "../helpers/alice.ts";
import { Chromium, NO_CHROMIUM } from "../helpers/chromium.ts";
import type { Page } from "../helpers/chromium.ts";
import { clientSecret } from "../helpers/fed.ts";
import { call, fixture } from "../helpers/fixtures.ts";
import { freePort } from "../helpers/free-port.ts";
import { ask } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";

const SKIPS_AHEAD = new URL("../helpers/skips-ahead.ts", import.meta.url).href;
const PAGE = "/u/alice/connect/one";

/** Signs in at the provider, unless the browser has, and agrees. */
async function agree(page: Page): Promise<void> {
  if (/Sign-in/.test(await page.shows(/Sign-in|Authorize/))) {
    await page.type("[name=login]", "somebody");
    await page.submit("[name=password]", "anything");
    await page.shows(/Authorize/);
  }
  await page.click("[type=submit]");
}

/** A browser, a daemon whose clock can be moved on, and an OpenID provider that sends back to it. */
async function start(t: TestContext) {
  const port = await freePort();
  const rig = await startForAlice(
    t,
    { one: { ...fixture("http", "echo-sse"), provider: "sso" } },
    { providers: { sso: oidcConfig(port, clientSecret(t)) } },
    { env: { NODE_OPTIONS: `--import ${SKIPS_AHEAD}` } },
  );
  const { origin } = rig.daemon;
  const oidc = await openOidc(t, port, `${origin}/connect/callback`);
  const browser = await Chromium.open(t, ["evil.example"]);
  return { ...rig, oidc, browser, origin, key: rig.auth[1]!.replace("Bearer ", "") };
}

test(
  "in a browser: an account is connected, its child started with the token, and nothing else that comes back is taken",
  { skip: NO_CHROMIUM || NO_OIDC },
  async (t) => {
    const { daemon, post, http, oidc, browser, origin, key } = await start(t);
    const page = await browser.page();
    /** Opens the page of that user, and goes on to the provider; where that was. */
    const begin = async (tab: Page, user = "alice", secret = key): Promise<string> => {
      await tab.goto(`${origin}/u/${user}/connect/one`);
      const before = tab.requests.length;
      await tab.submit("#key", secret);
      const asked = () => tab.requests.slice(before).find(({ url }) => url.includes("/auth?"))?.url;
      return await until(asked, "the browser is sent to the provider");
    };

    await page.goto(`${origin}${PAGE}?x=1`);
    assert.match(await page.text(), /Connect an account[^]*one[^]*alice/);
    assert.doesNotMatch(await page.text(), /连接账号/);
    assert.equal(await page.run("location.search"), "");
    await page.submit("#key", "mcps_nonsense");
    await page.shows(/This access key is not valid/);
    await page.click("#in-zh");
    assert.match(await page.text(), /连接账号[^]*访问密钥无效/);
    assert.doesNotMatch(await page.text(), /Connect an account/);

    await begin(page);
    await agree(page);
    const shown = await page.shows(/Account connected/);
    assert.match(shown, /alice[^]*one[^]*sso[^]*openid, offline_access[^]*UTC/);
    assert.equal(oidc.issued.length, 1);
    assert.equal(await page.run("location.href"), `${origin}/connect/callback`);
    assert.equal(await page.run("document.documentElement.outerHTML.includes('code=')"), false);
    const env = await post("/u/alice/one/mcp", call("env", "env"), await http("one"));
    assert.ok(env.body.includes(oidc.issued[0]!), "the child was started with it");

    const used = page.asked(`${origin}/connect/callback?`)!;
    await page.goto(used);
    assert.match(await page.text(), /Account not connected[^]*Nothing was begun in this browser/);

    // Begun here, finished elsewhere: a stranger, the same browser for another user, and too late.
    const other = await browser.page(await browser.stranger());
    await other.goto(await begin(page));
    await agree(other);
    await other.shows(/Nothing was begun in this browser/);
    const bob = await daemon.addUser("bob");
    await begin(page);
    const tab = await browser.page();
    await begin(tab, "bob", bob.key.secret);
    await agree(page);
    await page.shows(/Nothing was begun in this browser/);
    await begin(page);
    await until(async () => {
      process.kill(daemon.pid, "SIGUSR2");
      const { body } = await ask(daemon.port, { path: "/health" });
      return (JSON.parse(body) as { uptimeSeconds: number }).uptimeSeconds > 700;
    }, "ten minutes have passed");
    await agree(page);
    await page.shows(/Nothing was begun in this browser/);
    assert.equal(oidc.issued.length, 1, "no code was redeemed for any of them");

    // Begun twice at once: one of them counts.
    await begin(page);
    await begin(tab);
    // In turn: the provider may refuse who agrees twice at the same moment in one browser.
    await agree(page);
    await agree(tab);
    await page.shows(/Nothing was begun in this browser/);
    await tab.shows(/Account connected/);
    assert.equal(oidc.issued.length, 2);
    const { tokens } = (await daemon.cli(["token", "show", "alice"])).json<{
      tokens: { server: string | null }[];
    }>();
    assert.equal(tokens.filter(({ server }) => server === "one").length, 1);
    assert.equal(daemon.log().includes(key), false);
  },
);

test(
  "in a browser: pages of other origins begin nothing, an invite is taken up, and what servers send is text",
  { skip: NO_CHROMIUM || NO_OIDC },
  async (t) => {
    const { daemon, oidc, browser, origin, key } = await start(t);
    const page = await browser.page();
    const elsewhere = await serve(t, (_req, res) => {
      res.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><p>elsewhere</p>");
    });
    const { port } = elsewhere.url;
    const attack = (mode: string) =>
      `fetch("${origin}${PAGE}", { method: "POST", mode: "${mode}", credentials: "include", body: "{}",
        headers: ${mode === "cors" ? `{ authorization: "Bearer ${key}", "content-type": "application/json" }` : "{}"},
      }).then((answer) => answer.type, () => "refused")`;
    for (const host of [`127.0.0.1:${port}`, `evil.example:${port}`]) {
      await page.goto(`http://${host}/`);
      assert.equal(await page.run(attack("cors")), "refused", host);
      assert.equal(await page.run(attack("no-cors")), "opaque", host);
      assert.equal(
        await page.run(`new Promise((done) => {
          const frame = document.createElement("iframe");
          frame.onload = () => done(frame.contentDocument === null);
          frame.src = "${origin}${PAGE}";
          document.body.append(frame);
        })`),
        true,
        "the page is in no frame of another",
      );
    }

    const invited = (await daemon.cli(["user", "invite", "alice"])).json<{
      invite: { url: string };
    }>();
    const { url } = invited.invite;
    const code = new URL(url).hash.slice(1);
    await page.goto(url);
    assert.equal(await page.run("location.href"), `${origin}/invite`);
    await page.click("#invite button");
    assert.match(await page.shows(/Your access key[^]*mcps_\w{36}/), /For your clients/);
    assert.equal(await page.run("document.querySelectorAll('details').length > 5"), true);
    await page.click("#account-list button");
    await agree(page);
    await page.shows(/Account connected/);
    assert.equal(oidc.issued.length, 1);
    const told = JSON.stringify([page.requests, oidc.requests]);
    assert.equal(told.split(code).length - 1, 0, "no request and no referrer has the code");
    const { entries } = (await page.send("Page.getNavigationHistory")) as {
      entries: { url: string }[];
    };
    const visited = entries.map((entry) => entry.url);
    assert.ok(visited.includes(`${origin}/invite`));
    assert.equal(visited.join().includes(code), false, "nor any entry of the history");
    await page.goto(url);
    await page.click("#invite button");
    await page.shows(/This link is not valid/);
    assert.equal(daemon.log().includes(code), false);
  },
);

const SCRIPT = "<!doctype html><title>ran</title><script>document.title='ran'</script>";
/** A server of Streamable HTTP that is a page for whoever looks. */
const SERVES_PAGES = `
  const page = ${JSON.stringify(SCRIPT)};
  require("node:http").createServer((req, res) => {
    const isGreeting = req.method === "POST" && req.headers["x-greeting"] !== undefined;
    res.writeHead(200, { "content-type": isGreeting ? "application/json" : "text/html" });
    res.end(isGreeting ? '{"jsonrpc":"2.0","id":0,"result":{}}' : page);
  }).listen(Number(process.argv[1]), "127.0.0.1");`;

test(
  "in a browser: what a server sends as a page is text on every verb, relayed from a child or from elsewhere",
  { skip: NO_CHROMIUM },
  async (t) => {
    const remote = await record(t, (_request, res) => {
      res.writeHead(200, { "content-type": "text/html" });
      return void res.end(SCRIPT);
    });
    const rig = await startForAlice(t, {
      remote: { url: `${remote.origin}/mcp` },
      child: {
        type: "http",
        command: process.execPath,
        args: ["-e", SERVES_PAGES, "${port}"],
      },
    });
    const { origin } = rig.daemon;
    const key = rig.auth[1]!.replace("Bearer ", "");
    const browser = await Chromium.open(t);
    const page = await browser.page();
    for (const server of ["remote", "child"]) {
      // A GET without a session goes to what runs.
      assert.equal((await rig.daemon.cli(["start", "alice", "--server", server])).code, 0);
      const path = `/u/alice/${server}/mcp?token=${key}`;
      await page.goto(`${origin}${path}`);
      const isText = async (verb: string): Promise<void> => {
        await page.shows(/<script>document\.title/);
        assert.equal(await page.run("document.contentType"), "text/plain", `${server}: ${verb}`);
        assert.notEqual(await page.run("document.title"), "ran", `${server}: ${verb}`);
      };
      await isText("GET");
      // A form of another page of this machine, whose only field makes JSON of the body.
      await page.goto("about:blank");
      const message = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "x" } };
      const [head, tail] = [JSON.stringify(message).slice(0, -1), '"}'];
      await page.run(`{
        const form = document.createElement("form");
        form.method = "post";
        form.enctype = "text/plain";
        form.action = "${origin}${path}";
        const field = document.createElement("input");
        field.name = ${JSON.stringify(`${head},"x":"`)};
        field.value = ${JSON.stringify(tail)};
        form.append(field);
        document.documentElement.append(form);
        form.submit();
      }`);
      await until(async () => (await page.run("location.href")) !== "about:blank", "it is sent");
      await page.shows(/./);
      assert.notEqual(await page.run("document.contentType"), "text/html", `${server}: POST`);
      assert.notEqual(await page.run("document.title"), "ran", `${server}: POST`);
    }
  },
);
