import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { figure } from "../helpers/figures.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { fixture } from "../helpers/fixtures.ts";

const PEOPLE = 300;
const LIMIT_MS = 5_000;

interface Applied {
  changes: { change: string }[];
  tokens: { user: string; server: string | null }[];
}

test("300 users of a CSV file come with their tokens, and a second time nothing is done", async (t) => {
  const daemon = await startDaemon(t, {
    config: { servers: { gmail: fixture("http", "echo-sse") } },
  });
  const file = join(daemon.dir, "people.csv");
  const lines = Array.from(
    { length: PEOPLE },
    (_, n) => `user${n},"User, ${n}",user${n}@example.com,gmail,token-of-${n}`,
  );
  writeFileSync(file, ["slug,name,email,server,token", ...lines].join("\r\n"), { mode: 0o644 });
  const apply = async (...more: string[]) => await daemon.cli(["apply", "-f", file, ...more]);

  const open = await apply();
  assert.deepEqual([open.code, open.stdout], [2, ""]);
  assert.match(open.error().message, /has tokens in it, and other accounts can read it/);

  chmodSync(file, 0o600);
  const plan = (await apply("--dry-run")).json<Applied>();
  assert.deepEqual([plan.changes.length, plan.tokens.length], [PEOPLE, PEOPLE]);
  const startedAt = performance.now();
  const done = await apply();
  figure(t, "an apply", performance.now() - startedAt, LIMIT_MS);
  assert.equal(done.json<Applied>().tokens.length, PEOPLE);
  assert.doesNotMatch(done.stdout + daemon.log(), /token-of-\d/);

  const again = (await apply()).json<Applied>();
  assert.deepEqual([again.changes, again.tokens], [[], []]);
  const input = "slug,token,server\nuser7,another-one,gmail\n";
  const one = await daemon.cli(["apply", "-f", "-"], { input, isForPeople: true });
  assert.match(one.stdout, /^~ token of user7 for gmail\n1 token stored\.\n$/m, one.stderr);
  const { entries } = (await daemon.cli(["audit", "user7", "-n", "1"])).json<{
    entries: { what: string; server: string }[];
  }>();
  assert.deepEqual([entries[0]?.what, entries[0]?.server], ["apply: token set", "gmail"]);
  const { users } = (await daemon.cli(["user", "list"])).json<{ users: { name: string }[] }>();
  assert.equal(users.find(({ name }) => name === "User, 7")?.name, "User, 7");
});
