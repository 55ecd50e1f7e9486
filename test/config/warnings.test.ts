import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseConfig } from "../../src/config/config.ts";
import { maySandbox, warningsOf } from "../../src/config/warnings.ts";

type Entry = Record<string, unknown>;

/** What is warned of, as `place: thing`. */
function warned(entry: Entry, more: Entry = {}): string[] {
  const server = { type: "sse", command: "python", ...entry };
  const config = parseConfig({ servers: { mail: server }, ...more }, "/srv", { env: {} });
  return warningsOf(config, maySandbox).map((line) =>
    line.replace(/^servers\.mail\.(.*? names .*?)(?:: in a sandbox|, which "reach").*/, "$1"),
  );
}

const EXAMPLE = {
  API_PROXY_URL: "http://localhost:8031",
  AUTH_API_URL: "http://localhost:8030",
  MAILPIT_SMTP_HOST: "localhost",
};

test("a port of localhost that a sandbox does not carry in is named, wherever it stands", () => {
  assert.deepEqual(warned({ env: EXAMPLE }), [
    "env.API_PROXY_URL: names port 8031 of localhost",
    "env.AUTH_API_URL: names port 8030 of localhost",
    "env.MAILPIT_SMTP_HOST: names localhost without a port",
  ]);
  assert.deepEqual(warned({ env: EXAMPLE, reach: [8030, 8031] }), [
    "env.MAILPIT_SMTP_HOST: names localhost without a port",
  ]);
  // One more than is named: the host without a port has one.
  assert.deepEqual(warned({ env: EXAMPLE, reach: [8030, 8031, 1025] }), []);
  const cases: [Entry, string[]][] = [
    [{ args: ["--api", "http://127.0.0.1:9000/x"] }, ["args[1]: names port 9000 of 127.0.0.1"]],
    [{ args: ["--api=ws://[::1]:9000"] }, ["args[0]: names port 9000 of [::1]"]],
    [{ env: { DB: "postgres://u:p@LOCALHOST/db" } }, ["env.DB: names LOCALHOST without a port"]],
    [
      { env: { BROKERS: "localhost:9092,localhost:9093" }, reach: [9093] },
      ["env.BROKERS: names port 9092 of localhost"],
    ],
    [{ env: { API: "https://localhost/x" } }, ["env.API: names port 443 of localhost"]],
    [{ env: { API: "http://user:pw@localhost" } }, ["env.API: names port 80 of localhost"]],
    [{ env: { HOST6: "::1" } }, ["env.HOST6: names ::1 without a port"]],
    [
      { env: { SMTP_HOST: "localhost", SMTP_PORT: "1025" } },
      ["env.SMTP_HOST: names port 1025 of localhost"],
    ],
    [{ env: { SMTP_HOST: "localhost", SMTP_PORT: "1025" }, reach: [1025] }, []],
  ];
  for (const [entry, lines] of cases) assert.deepEqual(warned(entry), lines, JSON.stringify(entry));
});

test("a port below 1024 is told to be out of reach's range", () => {
  const config = parseConfig(
    { servers: { mail: { command: "x", env: { SMTP: "localhost:25" } } } },
    "/srv",
    { env: {} },
  );
  assert.match(warningsOf(config, maySandbox).join(), /carries in no port below 1024/);
});

test("what is no call to the machine's loopback is passed over", () => {
  const own: Entry[] = [
    { args: ["--url", "http://localhost:${port}/sse", "http://127.0.0.1:${port}"] },
    { args: ["--host", "127.0.0.1", "--port", "${port}"] },
    { args: ["--host=127.0.0.1", "--port=${port}"] },
    { args: ["--port", "${port}"], env: { HOST: "localhost" } },
    { env: { FASTMCP_HOST: "127.0.0.1", FASTMCP_PORT: "${port}" } },
    { env: { NO_PROXY: "localhost,127.0.0.1" } },
    { env: { A: "localhost.example.com:80", B: "mylocalhost:80", C: "127.0.0.11:80" } },
    { env: { A: "fe80::1", B: "10.127.0.0.1", C: "my-localhost", D: "localhost-proxy:8" } },
    { env: { A: "http://example.com:8031" } },
  ];
  for (const entry of own) assert.deepEqual(warned(entry), [], JSON.stringify(entry));
  for (const isolation of ["none", "user"])
    for (const place of ["server", "config"])
      assert.deepEqual(
        warned(
          { env: EXAMPLE, ...(place === "server" && { isolation }) },
          place === "config" ? { isolation } : {},
        ),
        [],
      );
});

test("the configs that the documents show are valid, and nothing is odd about them", () => {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const shown = (page: string): string[] =>
    [...readFileSync(join(root, page), "utf8").matchAll(/```json\n(.*?)```/gs)]
      .map((match) => match[1]!)
      .filter((text) => text.includes('"servers"'));
  const recipes = shown("docs/servers.md");
  // VS Code's own file has "servers" too.
  const pages = globSync("docs/*.md", { cwd: root }).filter((page) => !page.endsWith("clients.md"));
  const whole = pages.flatMap(shown);
  assert.ok(recipes.length >= 3 && whole.length > recipes.length);
  for (const text of whole) {
    const config = parseConfig(JSON.parse(text), "/srv", { env: {} });
    assert.deepEqual(warningsOf(config, maySandbox), []);
    assert.deepEqual(config.ports.pin, {});
  }
  const [first] = recipes.map((text) => parseConfig(JSON.parse(text), "/srv").servers["gmail"]);
  assert.equal(first!.transport, "stdio");
});
