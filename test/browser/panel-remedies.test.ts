import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Overview } from "../../src/api/panel-types.ts";
import { StrictProvider } from "../fixtures/providers/strict.ts";
import { NO_CHROMIUM } from "../helpers/chromium.ts";
import type { AddedUser } from "../helpers/daemon.ts";
import { clientSecret } from "../helpers/fed.ts";
import { bearer, fixture, initialize, json } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { until } from "../helpers/until.ts";
import { go, openPanel, trapped } from "./open-panel.ts";

/** A server of a user's that cannot work, for a reason that a press can mend, each kind of button once. */
async function seed(t: TestContext) {
  const remote = await record(t);
  const provider = await StrictProvider.open({ kind: "oauth2" });
  t.after(() => provider.close());
  const broken = join(temporaryFolder(t), "broken");
  writeFileSync(broken, "");
  const echo = fixture("http", "echo-sse") as { args: string[] };
  const entry = echo.args.find((arg) => arg.endsWith("echo-sse.ts"))!;
  const needsFile = `if (require("fs").existsSync(${JSON.stringify(broken)})) throw new Error("the index is broken"); import(${JSON.stringify(entry)})`;
  const [, , ...args] = echo.args;
  const headers = { Authorization: "Bearer ${token}" };
  const servers = {
    index: { ...echo, args: ["--no-warnings", "-e", needsFile, "--", ...args] },
    keyed: { url: `${remote.origin}/mcp`, headers },
    fed: { url: `${remote.origin}/mcp`, headers, provider: "sso" },
  };
  const providers = { sso: provider.config(clientSecret(t)) };
  const opened = await openPanel(t, servers, { providers });
  const { order, daemon } = opened;
  const add = async (user: string): Promise<AddedUser["key"]> =>
    (await order<AddedUser>("POST", "/api/users", { user })).key;
  const knock = async (user: string, secret: string, server: string): Promise<number> => {
    const path = `/u/${user}/${server}/mcp`;
    const all = [...bearer(secret), ...json];
    return (await ask(daemon.port, { method: "POST", path, headers: all, body: initialize() }))
      .status;
  };
  return { ...opened, provider, mend: () => rmSync(broken), add, knock };
}

type Seeded = Awaited<ReturnType<typeof seed>>;

/** Each who fails as the page shows it: the line, and what the buttons say. */
const shownFailing = async ({ page }: Seeded): Promise<Record<string, [string, string[]]>> => {
  const rows = (await page.run(`[...document.querySelectorAll(".failing")].map((card) => [
    card.querySelector(".cause").textContent,
    [...card.querySelectorAll(".row button, .row a")].map((one) => one.textContent),
  ])`)) as [string, string[]][];
  return Object.fromEntries(
    rows.map(([cause, words]) => [/^[a-z]+/.exec(cause)![0], [cause, words]]),
  );
};

const causes = async ({ order }: Seeded): Promise<Record<string, string>> => {
  const { failing } = await order<Overview>("GET", "/api/overview");
  return Object.fromEntries(failing.map(({ user, cause }) => [user, cause]));
};

/** Opens the place where the panel names who fails, and presses what is offered to that user. */
async function press(seeded: Seeded, user: string, word: string): Promise<void> {
  const { page } = seeded;
  await go(page, "now");
  const card = `[...document.querySelectorAll(".failing")].find((one) => one.querySelector(".cause").textContent.startsWith(${JSON.stringify(user)}))`;
  const button = `[...(${card}?.querySelectorAll("button, a") ?? [])].find((one) => one.textContent === ${JSON.stringify(word)})`;
  await until(
    async () =>
      (await page.run(`((found) => (found?.click(), found !== undefined))(${button})`)) === true,
    `${word} is offered to ${user}`,
  );
}

const isWell = async (seeded: Seeded, user: string): Promise<void> => {
  await until(async () => !(user in (await causes(seeded))), `${user} fails no more`, 15_000);
};

test(
  "each kind of button that stands beside who fails does what is to be done, and the fault is gone from the page",
  { skip: NO_CHROMIUM },
  async (t) => {
    const seeded = await seed(t);
    const { page, order, provider, mend, add, knock } = seeded;
    const keys = {
      disabled: await add("disabled"),
      crashing: await add("crashing"),
      tokenless: await add("tokenless"),
      stale: await add("stale"),
      keyless: await add("keyless"),
    };
    await order("POST", "/api/users/disabled/disable");
    await knock("disabled", keys.disabled.secret, "echo");
    await knock("crashing", keys.crashing.secret, "index");
    await knock("tokenless", keys.tokenless.secret, "keyed");
    const refreshToken = provider.grant("stale");
    await order("PUT", "/api/users/stale/token?server=fed", { refreshToken });
    provider.down = { status: 503 };
    await knock("stale", keys.stale.secret, "fed");
    await order("DELETE", `/api/keys/${keys.keyless.id}`);
    await knock("keyless", keys.keyless.secret, "echo");

    // The page's lines are those that doctor has, and each has its buttons.
    await until(async () => Object.keys(await causes(seeded)).length === 5, "all five fail");
    const told = await until(async () => {
      const rows = await shownFailing(seeded);
      return Object.keys(rows).length === 5 ? rows : undefined;
    }, "the page names all five");
    assert.deepEqual(
      Object.fromEntries(Object.entries(told).map(([user, [cause]]) => [user, cause])),
      await causes(seeded),
    );
    assert.deepEqual(
      Object.fromEntries(Object.entries(told).map(([user, [, words]]) => [user, words])),
      {
        disabled: ["Enable", "disabled"],
        crashing: ["Logs", "Restart", "crashing"],
        tokenless: ["Set a token", "tokenless"],
        stale: ["Refresh", "stale"],
        keyless: ["Issue an access key", "keyless"],
      },
    );

    await press(seeded, "disabled", "Enable");
    await until(
      async () => (await knock("disabled", keys.disabled.secret, "echo")) === 200,
      "the user is let in again",
    );
    await isWell(seeded, "disabled");

    await press(seeded, "crashing", "Logs");
    await page.shows(/the index is broken/);
    mend();
    await press(seeded, "crashing", "Restart");
    await isWell(seeded, "crashing");

    provider.down = undefined;
    await press(seeded, "stale", "Refresh");
    await until(() => provider.calls.at(-1)?.outcome === "ok", "the provider gave a new one");
    assert.equal(await knock("stale", keys.stale.secret, "fed"), 200);
    await isWell(seeded, "stale");

    await press(seeded, "tokenless", "Set a token");
    await until(
      async () => (await page.run(`document.querySelector("#token-form")?.open`)) === true,
      "the form is open",
    );
    await page.type("#new-token", "token-of-the-panel");
    await page.click("#token-form [type=submit]");
    await page.shows(/sha256:/);
    assert.equal(await knock("tokenless", keys.tokenless.secret, "keyed"), 200);
    await isWell(seeded, "tokenless");

    await press(seeded, "keyless", "Issue an access key");
    await until(
      async () => (await page.run(`document.querySelector("#key-form")?.open`)) === true,
      "the form is open",
    );
    await page.click("#key-form [type=submit]");
    const shown = await page.shows(/mcps_\w{36}/);
    assert.equal(await knock("keyless", /mcps_\w{36}/.exec(shown)![0], "echo"), 200);
    await isWell(seeded, "keyless");

    await go(page, "now");
    await page.shows(/Nobody fails/);
    assert.deepEqual(await trapped(page), []);
  },
);
