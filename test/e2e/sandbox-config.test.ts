import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { noSandbox } from "../helpers/isolation.ts";
import { until } from "../helpers/until.ts";

type File = Record<string, unknown>;

/** The recipe of docs/servers.md, with and without a way to what it calls on this machine. */
const mail = (more: object = {}): object => ({
  type: "sse",
  command: "python",
  args: ["--port", "${port}", "--url", "http://localhost:${port}"],
  env: { API_PROXY_URL: "http://localhost:8031", MAILPIT_SMTP_HOST: "localhost", SMTP: "[::1]:25" },
  network: "none",
  ...more,
});

const MISSING = [
  /servers\.mail\.env\.API_PROXY_URL: names port 8031 of localhost, .*add 8031 to "reach"/,
  /servers\.mail\.env\.MAILPIT_SMTP_HOST: names localhost without a port/,
  /servers\.mail\.env\.SMTP: names port 25 of \[::1\]: .*no port below 1024/,
];

function write({ configPath }: TestDaemon, more: object): void {
  const file = JSON.parse(readFileSync(configPath, "utf8")) as File;
  writeFileSync(configPath, JSON.stringify({ ...file, ...more }));
}

test(
  "what a sandboxed recipe calls on localhost and reach does not open is warned of everywhere",
  { skip: noSandbox },
  async (t) => {
    const daemon = await startDaemon(t, {
      config: { isolation: "sandbox", servers: { mail: mail() } },
    });
    const people = { isForPeople: true };
    const screens = async (): Promise<string[]> => {
      const of = async (...command: string[]) => (await daemon.cli(command, people)).stdout;
      const read = await Promise.all([of("config", "check"), of("reload")]);
      // It tells of the config in force, which is another one once that is read again.
      return [...read, await of("doctor")];
    };
    await until(
      () => MISSING.every((line) => line.test(daemon.log().replaceAll("\\", ""))),
      "the start says so",
    );
    for (const screen of await screens()) {
      for (const line of MISSING) assert.match(screen, line);
      assert.equal(screen.match(/servers\.mail\./g)?.length, 3);
    }

    write(daemon, { servers: { mail: mail({ reach: [8031, 1025] }) } });
    for (const screen of await screens()) {
      assert.match(screen, MISSING[2]!);
      assert.equal(screen.match(/servers\.mail\./g)?.length, 1);
    }

    // Without a sandbox localhost is this machine's.
    write(daemon, { servers: { mail: mail({ isolation: "none", network: "full" }) } });
    for (const screen of await screens()) assert.doesNotMatch(screen, /servers\.mail\./);
  },
);

test("a pinned port is refused beside a sandbox, by check, start and reload, with both ways out", async (t) => {
  const pin = { ports: { pin: { "alice/mail": 8841 } } };
  const daemon = await startDaemon(t, { config: { servers: { mail: mail({ network: "full" }) } } });
  const refusal =
    /^ports\.pin\["alice\/mail"\]: .*\bmail has none there: take the pin out, and let clients use the personal URL; or write "isolation": "user" or "none" for mail$/;
  for (const isolation of ["auto", "sandbox"]) {
    write(daemon, { ...pin, isolation });
    for (const command of [["config", "check"], ["serve"]]) {
      const refused = await daemon.cli(command);
      assert.equal(refused.code, 78, command.join(" "));
      const { type, details } = refused.error();
      assert.equal(type, "CONFIG_INVALID");
      assert.equal(details?.length, 1);
      assert.match(details[0]!, refusal);
    }
    const before = daemon.log().length;
    process.kill(daemon.pid, "SIGHUP");
    await until(
      () => daemon.log().slice(before).includes("the one before stays in force"),
      "it is told",
    );
    assert.match(daemon.log().slice(before), /take the pin out/);
  }
  write(daemon, {
    ...pin,
    isolation: "auto",
    servers: { mail: mail({ isolation: "none", network: "full" }) },
  });
  assert.equal((await daemon.cli(["config", "check"])).code, 0);
});
