import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import { settingsOf } from "../../src/gateway/session-config.ts";

const builtins = { markOf: ({ id, secret }: { id: string; secret: string }) => `${id} ${secret}` };
const servers = {
  open: { builtin: "feishu-token", sessionConfig: true },
  shut: { builtin: "feishu-token" },
  child: { command: "x" },
};
const config = parseConfig({ servers, defaultServer: "open" }, "/nowhere", { env: {} });

const read = (query: string, server = "open", language?: string) =>
  settingsOf(builtins, config.servers[server]!, {
    url: `/u/alice/${server}/mcp?${query}`,
    headers: { "accept-language": language },
  } as IncomingMessage);

const base64 = (value: unknown, way: "base64" | "base64url" = "base64") =>
  Buffer.from(JSON.stringify(value)).toString(way);

test("a session's settings are read from the URL in every way that clients write them", () => {
  // Both alphabets, with what stands for 62 and 63 in each.
  const app = { app_id: "cli_a", app_secret: "~~~???>>>" };
  const ways = [
    `config=${base64(app)}`,
    `config=${encodeURIComponent(base64(app))}`,
    `config=${base64(app, "base64url")}`,
    `token=x&config=${base64({ ...app, debug: true })}&session_id=y`,
    `app_id=cli_a&app_secret=${encodeURIComponent(app.app_secret)}`,
    // What has a parameter of its own wins.
    `config=${base64({ app_id: "cli_b", app_secret: 1 })}&app_secret=~~~???>>>&app_id=cli_a`,
    `config=${base64({ ...app, app_id: "cli_b" })}&app_id=cli_a`,
  ];
  for (const way of ways) assert.equal(read(way)?.mark, "cli_a ~~~???>>>", way);
});

test("settings that nobody made are none, and where the server takes none they are not looked at", () => {
  assert.deepEqual(read("token=x", "open", "zh-CN"), {
    caller: { language: "zh", app: undefined },
    mark: undefined,
  });
  assert.equal(read(`config=${base64({})}`)?.mark, undefined);
  assert.equal(read("config=%%%", "shut")?.mark, undefined);
  assert.equal(read("config=%%%", "child"), undefined);
});

test("settings that are not whole are refused, and nothing of them is repeated", () => {
  const app = { app_id: "cli_a", app_secret: "very-secret" };
  for (const query of [
    "config=%%%",
    "config=%ff",
    "config=very secret",
    "config=dmVyeS1zZWNyZXQ",
    `config=${base64([app])}`,
    `config=${base64("very-secret")}`,
    `config=${base64({ app_secret: "very-secret" })}`,
    `config=${base64({ ...app, app_id: 7 })}`,
    `config=${base64({ ...app, app_secret: "very secret" })}`,
    `config=${base64({ ...app, app_secret: "very-secret".repeat(100) })}`,
    `config=${base64(app)}&config=${base64(app)}`,
    `config=${base64(app)}&app_id=`,
    "app_secret=very-secret",
    "app_id=very-secret&app_id=very-secret&app_secret=x",
  ])
    assert.throws(
      () => read(query),
      ({ code, message }: { code: string; message: string }) =>
        code === "REQUEST_INVALID" && !/very|dmVy|cli_a/.test(message),
      query,
    );
});
