import assert from "node:assert/strict";
import { test } from "node:test";
import type { ShownServer } from "../../src/api/types.ts";
import { NO_CHROMIUM } from "../helpers/chromium.ts";
import type { Page } from "../helpers/chromium.ts";
import { fixture } from "../helpers/fixtures.ts";
import { until } from "../helpers/until.ts";
import { go, openForm, openPanel, trapped, typeKeys } from "./open-panel.ts";

type Order = Awaited<ReturnType<typeof openPanel>>["order"];

const own = async (order: Order): Promise<ShownServer[]> => {
  const { configs } = await order<{ configs: ShownServer[] }>("GET", "/api/mcp/configs");
  return configs.filter(({ origin }) => origin === "rest");
};

/** The field of the program with that label, the last one where there are several. */
const field = (label: string): string =>
  `[...document.querySelectorAll("#program label")].findLast((one) => one.textContent.startsWith(${JSON.stringify(label)})).control`;

const fill = async (page: Page, label: string, value: string): Promise<void> => {
  await page.run(`${field(label)}.value = ${JSON.stringify(value)}`);
};

const pressMore = async (page: Page, name: string): Promise<void> => {
  await page.run(
    `[...document.querySelectorAll("#program button")].find((one) => one.textContent === "Add to ${name}").click()`,
  );
};

test(
  "a pasted file of another program is imported whole, or not at all with the reason",
  { skip: NO_CHROMIUM },
  async (t) => {
    const { page, order } = await openPanel(t);
    await go(page, "servers");
    const paste = async (text: string): Promise<void> => {
      await typeKeys(page, "#import", "", "0");
      await page.type("#import", text);
      await page.click("#do-import");
    };
    await page.run(`document.querySelector("#import-servers").open = true`);
    const good = '"good": { "url": "http://127.0.0.1:9/mcp" }';
    await paste(`{ "mcpServers": { ${good}, "program": { "command": "x" } } }`);
    await page.shows(/control socket/);
    await paste(`{ "mcpServers": { ${good}, "bad": { "url": "no address" } } }`);
    await page.shows(/bad: url/);
    assert.deepEqual(await own(order), []);
    await paste(
      `{ /* of VS Code */ "servers": { ${good}, "second": { "url": "http://127.0.0.1:9/sse" }, } }`,
    );
    await page.shows(/Added\s+good, second/);
    assert.deepEqual(
      (await own(order)).map(({ slug }) => slug),
      ["good", "second"],
    );
    await page.shows(/http:\/\/127\.0\.0\.1:9\/sse/);
    await paste(`{ "servers": { ${good} } }`);
    await page.shows(/There already\s+good/);
    assert.deepEqual(await trapped(page), []);
  },
);

test(
  "a program has fields where the config allows commands: it is added, loaded, changed, and values stay where they are",
  { skip: NO_CHROMIUM },
  async (t) => {
    const admin = { host: "127.0.0.1", port: 0, commands: true };
    const { page, order, daemon } = await openPanel(t, {}, { admin });
    await go(page, "servers");
    await openForm(page);
    await page.run(`{
      const kind = document.querySelector("#kind");
      kind.value = "program";
      kind.dispatchEvent(new Event("change"));
    }`);
    const { command, args } = fixture("http", "echo-sse") as { command: string; args: string[] };
    await page.type("#name", "Echo of ours");
    await page.run(`${field("type")}.value = "2"`);
    await fill(page, "command", command);
    for (const [at, arg] of args.entries()) {
      await pressMore(page, "args");
      await fill(page, `args ${at + 1}`, arg);
    }
    await pressMore(page, "env");
    await fill(page, "name", "API_KEY");
    await fill(page, "value", "canary-of-the-environment");
    await page.click("#save");
    await until(async () => (await own(order)).length === 1, "it is stored");
    const [stored] = await own(order);
    assert.deepEqual(
      [stored?.["type"], stored?.["command"], stored?.["args"], stored?.["env"]],
      ["http", command, args, { API_KEY: null }],
    );
    await page.send("Page.reload");
    await until(
      async () => (await page.run(`document.querySelector("#program") !== null`)) === true,
      "its form is there",
    );
    const html = String(await page.run("document.documentElement.outerHTML"));
    assert.ok(!html.includes("canary-of-the-environment"));
    assert.equal(await page.run(`${field("command")}.value`), command);
    assert.equal(await page.run(`${field("value")}.type`), "password");
    await pressMore(page, "env");
    await fill(page, "name", "SECOND");
    await fill(page, "value", "2");
    await fill(page, "tokenEnv", "MY_TOKEN");
    await page.click("#save");
    await until(
      async () => (await own(order))[0]?.["tokenEnv"] === "MY_TOKEN",
      "the change is stored",
    );
    assert.deepEqual((await own(order))[0]?.["env"], { API_KEY: null, SECOND: null });

    await daemon.addUser("alice", "token-of-alice");
    await order("PUT", "/api/users/alice/grants?server=echo-of-ours");
    const said = await daemon.cli(["call", "alice", "env", "--server", "echo-of-ours"]);
    assert.match(said.stdout, /canary-of-the-environment/, said.stderr);
    assert.match(said.stdout, /MY_TOKEN/);
    // What is emptied goes.
    await go(page, "servers");
    await go(page, `servers?id=${stored!.id}`);
    await fill(page, "tokenEnv", "");
    await page.click("#save");
    await until(
      async () => !("tokenEnv" in ((await own(order))[0] ?? {})),
      "the variable is the usual one again",
    );
    assert.deepEqual(await trapped(page), []);
  },
);

test(
  "where the config allows no commands the fields of a program are read, and a new server is at a URL",
  { skip: NO_CHROMIUM },
  async (t) => {
    const { page, order } = await openPanel(t);
    const { id } = await order<ShownServer>("POST", "/api/mcp/configs", {
      name: "Program",
      command: "/bin/true",
      env: { A: "1" },
    });
    await go(page, "servers");
    await openForm(page);
    assert.equal(await page.run(`document.querySelector("#kind")`), null);
    await go(page, `servers?id=${id}`);
    assert.equal(await page.run(`${field("command")}.value`), "/bin/true");
    assert.equal(await page.run(`document.querySelector("#program").disabled`), true);
    await page.type("#description", "of others");
    await page.click("#save");
    await until(
      async () => (await own(order))[0]?.description === "of others",
      "what else it says can be changed",
    );
    assert.deepEqual((await own(order))[0]?.["env"], { A: null });
  },
);
