import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { shaped } from "../../src/telemetry/log-format.ts";
import { temporaryFolder } from "../helpers/store.ts";

const PROGRAM = fileURLToPath(new URL("programs/logs-one.ts", import.meta.url));

interface Where {
  format?: string;
  /** What JOURNAL_STREAM says of the file that stderr is. */
  stream?: (dev: bigint, ino: bigint) => string;
}

/** What the program writes to a file in the place of stderr. */
function written(t: TestContext, { format = "auto", stream }: Where): string[] {
  const file = join(temporaryFolder(t), "log");
  const fd = openSync(file, "w");
  const { dev, ino } = fstatSync(fd, { bigint: true });
  const JOURNAL_STREAM = stream?.(dev, ino);
  const argv = ["--no-warnings", PROGRAM, format];
  spawnSync(process.execPath, argv, {
    stdio: ["ignore", "ignore", fd],
    env: { ...process.env, JOURNAL_STREAM },
  });
  closeSync(fd);
  return readFileSync(file, "utf8").trimEnd().split("\n");
}

const levelOf = (line: string): unknown => (JSON.parse(line) as { level: unknown }).level;

test("a file gets lines that are each one JSON document", (t) => {
  assert.deepEqual(written(t, {}).map(levelOf), ["info", "warn", "error"]);
  const elsewhere = (dev: bigint, ino: bigint): string => `${dev}:${ino + 1n}`;
  assert.deepEqual(
    written(t, { stream: elsewhere }).map(levelOf),
    ["info", "warn", "error"],
    "a stderr that was redirected is not the journal",
  );
});

test("the journal gets each line's priority before it", (t) => {
  const lines = written(t, { stream: (dev, ino) => `${dev}:${ino}` });
  assert.deepEqual(
    lines.map((line) => [line.slice(0, 3), levelOf(line.slice(3))]),
    [
      ["<6>", "info"],
      ["<4>", "warn"],
      ["<3>", "error"],
    ],
  );
});

test("text has a line for each entry, and a stack below it", (t) => {
  const [first, second, third, frame] = written(t, { format: "text" });
  assert.match(
    first!,
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ info {2}serving {2}user=alice {2}path="a b"$/,
  );
  assert.match(second!, /Z warn {2}odd$/);
  assert.match(third!, /Z error failed {2}err="it broke"$/);
  assert.match(frame!, /^ {6}at /);
  const journal = written(t, { format: "text", stream: (dev, ino) => `${dev}:${ino}` });
  assert.ok(journal.length > 3);
  for (const line of journal) assert.match(line, /^<[346]>/);
});

test("text is for terminals by itself, and steers none", () => {
  const line = `${JSON.stringify({ level: "info", timestamp: "2026-11-29T15:57:27.123Z", pid: 1, said: "\u001b[2J\n\u202e", message: "m\u0007" })}\n`;
  assert.equal(shaped(line, "auto", "other"), line);
  assert.equal(shaped(line, "json", "terminal"), line);
  const text = '2026-11-29 15:57:27Z info  m\\u0007  said="\\u001b[2J\\n\\u202e"\n';
  assert.equal(shaped(line, "auto", "terminal"), text);
  assert.equal(shaped("no JSON\n", "text", "other"), "no JSON\n");
});
