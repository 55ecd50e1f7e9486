import assert from "node:assert/strict";
import { test } from "node:test";
import type { ToldRequest } from "../../src/api/types.ts";
import { NO_CHROMIUM } from "../helpers/chromium.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";
import { openPanel } from "./open-panel.ts";

/** What a form can send without a word of script: the JSON is the name of a field of plain text. */
const FORMS = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];

/** A page that sends itself away as a form as soon as it is opened; `body` is JSON, with a `=` in it where a value begins. */
function formPage(action: string, enctype: string, body: string): string {
  const at = body.indexOf("=");
  return `<!doctype html><form method="post" enctype="${enctype}" action="${action}">
    <input name='${body.slice(0, at)}' value='${body.slice(at + 1)}'></form>
    <script>onload = () => document.forms[0].submit()</script>`;
}

test(
  "forms of strangers, in frames, sandboxes and windows of their own, change nothing with the victim signed in",
  { skip: NO_CHROMIUM },
  async (t) => {
    const { page, order, daemon, browser } = await openPanel(t);
    const { key } = await daemon.addUser("alice");
    await page.goto(`${daemon.origin}/me`);
    await page.shows(/Sign in/);
    await page.submit("#key", key.secret);
    await page.shows(/Access keys/);
    const own = `fetch("/me/api/keys", { method: "POST", body: '{"label":"own"}',
      headers: { "content-type": "application/json", "x-mcp-supervisor": "1" } }).then(({ status }) => status)`;
    // The cookie is there, and whoever is let near it is let in.
    assert.equal(await page.run(own), 201);

    const control = `http://127.0.0.1:${daemon.admin?.port}/api`;
    const targets: [string, string][] = [
      [`${daemon.origin}/me/api/keys`, '{"label":"=stolen"}'],
      [`${daemon.origin}/me/api/tools`, '{"method":"env","args":{"a":"="}}'],
      [`${control}/users`, '{"user":"eve","name":"="}'],
      [`${control}/panel/sessions`, '{"token":"="}'],
    ];
    const all = targets.flatMap(([action, body]) => FORMS.map((type) => [action, type, body]));
    const hostile = await serve(t, (req, res) => {
      res.setHeader("content-type", "text/html");
      const at = /^\/form\/(\d+)$/.exec(req.url ?? "")?.[1];
      const [action, type, body] = (at === undefined ? undefined : all[Number(at)]) ?? [];
      res.end(action === undefined ? "<!doctype html>" : formPage(action, type!, body!));
    });
    const attack = `(async () => {
      let sent = 0;
      // The second load is the answer to what it has sent.
      const open = (src, sandbox) => new Promise((done) => {
        const frame = document.createElement("iframe");
        if (sandbox) frame.sandbox = sandbox;
        let loads = 0;
        frame.onload = () => { if ((loads += 1) === 2) { sent += 1; done(); } };
        frame.src = src;
        document.body.append(frame);
      });
      for (let at = 0; at < ${all.length}; at += 1) {
        await open("/form/" + at);
        await open("/form/" + at, "allow-scripts allow-forms");
      }
      return sent;
    })()`;
    const stranger = await browser.page();
    for (const host of ["127.0.0.1", "evil.example"]) {
      await stranger.goto(`http://${host}:${hostile.url.port}/`);
      assert.equal(await stranger.run(attack), all.length * 2, host);
      for (const [at, [action]] of all.entries()) {
        const url = `http://${host}:${hostile.url.port}/form/${at}`;
        await stranger.send("Page.navigate", { url });
        await until(
          async () => (await stranger.run("location.href")) === action,
          "it has sent itself away, and shows the answer",
        );
      }
    }
    const { requests } = await order<{ requests: ToldRequest[] }>(
      "GET",
      "/api/requests?limit=1000",
    );
    const posts = requests.filter(({ request }) => request.startsWith("POST /me/api/"));
    const letIn = posts.filter(({ status }) => status < 400);
    assert.equal(letIn.length, 2, "the victim's own: to sign in, and one key");
    // Three ways for each, from either host.
    assert.equal(posts.length - letIn.length, 3 * FORMS.length * 2 * 2);
    assert.equal((await order<{ keys: unknown[] }>("GET", "/api/users/alice")).keys.length, 2);
    assert.equal((await order<{ users: unknown[] }>("GET", "/api/users")).users.length, 1);
    assert.equal(await page.run(own), 201, "the victim is signed in still");
  },
);
