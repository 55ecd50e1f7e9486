import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { isListening, processesWith, runCli } from "../helpers/daemon.ts";
import { bearer } from "../helpers/fixtures.ts";
import { PROGRAM } from "../helpers/program.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

/** A folder that the demo makes its own in, to be found empty afterwards. */
function folderForDemo(t: TestContext): { dir: string; assertEmpty: () => void } {
  const dir = mkdtempSync(join(tmpdir(), "d-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return {
    dir,
    assertEmpty: () => {
      assert.deepEqual(readdirSync(dir), [], "the demo's folder is gone");
      assert.deepEqual(processesWith(dir), [], "no process of the demo is left");
    },
  };
}

test("demo --once shows each user's own token on both fronts, and leaves nothing", async (t) => {
  const { dir, assertEmpty } = folderForDemo(t);
  const { code, stdout, stderr } = await runCli(["demo", "--once"], { env: { TMPDIR: dir } });
  assert.equal(code, 0, stderr + stdout);
  const rows = stdout.split("\n").filter((line) => /^(alice|bob) +everything/.test(line));
  assert.deepEqual(
    rows.map((row) => row.split(/ +/).slice(0, 3).join(" ")),
    ["alice", "bob"].flatMap((user) =>
      ["everything", "everything-http"].flatMap((server) => [
        `${user} ${server} /sse`,
        `${user} ${server} /mcp`,
      ]),
    ),
  );
  const seen = rows.map((row) => {
    const [, given, saw] = /(sha256:\w+) +(sha256:\w+) +own token, nobody else's$/.exec(row) ?? [];
    assert.equal(given, saw, row);
    return given;
  });
  const [ofAlice, ofBob] = [new Set(seen.slice(0, 4)), new Set(seen.slice(4))];
  assert.deepEqual([ofAlice.size, ofBob.size, new Set(seen).size], [1, 1, 2]);
  assert.match(stdout, /bob's access key on alice's URL: 403/);
  assert.doesNotMatch(stdout, /demo-alice-|demo-bob-|mcps_/, "no token and no key is shown");
  assertEmpty();
});

test("demo --once --json answers one document", async (t) => {
  const { dir, assertEmpty } = folderForDemo(t);
  const shown = await runCli(["demo", "--once", "--json"], { env: { TMPDIR: dir } });
  const { ok, sights, refusal } = shown.json<{ ok: boolean; sights: object[]; refusal: number }>();
  assert.deepEqual([ok, sights.length, refusal], [true, 8, 403]);
  assert.equal(shown.stderr, "");
  assertEmpty();
});

test("demo serves on until Ctrl-C, for clients that paste its URLs and keys", async (t) => {
  const { dir, assertEmpty } = folderForDemo(t);
  const child = spawn(process.execPath, ["--no-warnings", PROGRAM, "demo"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: dir },
  });
  const ended = once(child, "exit") as Promise<[number | null]>;
  t.after(() => child.kill("SIGKILL"));
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  await until(() => output.includes("Ctrl-C ends it"), "the show is over", 20_000);
  const [, secret] = /alice, access key (mcps_\w+)/.exec(output) ?? [];
  const [, url] = /(http:\S+\/u\/alice\/sse)/.exec(output) ?? [];
  assert.ok(secret !== undefined && url !== undefined, output);
  const { port, pathname } = new URL(url);
  const stream = await EventStream.open(Number(port), { path: pathname, headers: bearer(secret) });
  assert.equal(stream.status, 200);
  assert.equal((await ask(Number(port), { path: pathname })).status, 401);
  child.kill("SIGINT");
  assert.equal((await ended)[0], 0);
  await until(() => stream.isEnded, "the client's stream ends");
  assert.equal(await isListening(Number(port)), false);
  assertEmpty();
});

test("a demo whose output nobody reads ends in order all the same", async (t) => {
  const { dir, assertEmpty } = folderForDemo(t);
  const child = spawn(process.execPath, ["--no-warnings", PROGRAM, "demo", "--once"], {
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, TMPDIR: dir },
  });
  t.after(() => child.kill("SIGKILL"));
  child.stdout.destroy();
  const [code] = (await once(child, "exit")) as [number | null];
  assert.equal(code, 0);
  assertEmpty();
});

test("Ctrl-C in the middle of the show ends it there, with no child left", async (t) => {
  const { dir, assertEmpty } = folderForDemo(t);
  const child = spawn(process.execPath, ["--no-warnings", PROGRAM, "demo"], {
    stdio: "ignore",
    env: { ...process.env, TMPDIR: dir },
  });
  const ended = once(child, "exit") as Promise<[number | null]>;
  t.after(() => child.kill("SIGKILL"));
  // The demo itself has the folder in its environment; one more is a child of its.
  await until(() => processesWith(dir).length > 1, "a child is starting", 20_000);
  child.kill("SIGINT");
  assert.equal((await ended)[0], 1);
  assertEmpty();
});
