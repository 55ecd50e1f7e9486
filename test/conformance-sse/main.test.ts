import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startFixture } from "../conformance/fixture.ts";
import { freePort } from "../helpers/free-port.ts";
import { run } from "../interop/programs.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

const check = async (...args: string[]) =>
  await run(process.execPath, ["--no-warnings", MAIN, ...args]);

test("the program prints a summary as the official suite does and exits 0 if nothing failed", async (t) => {
  const fixture = await startFixture("--sse");
  t.after(fixture.close);
  const { code, output } = await check(fixture.url, "--header", "x-any: thing", "--only", "tools");
  assert.equal(code, 0, output);
  assert.match(
    output,
    /=== SUMMARY ===\n✓ tools: 5 passed, 0 failed\n\nTotal: 5 passed, 0 failed\n$/,
  );
});

test("with --json it prints one document, with a result for each check", async (t) => {
  const fixture = await startFixture("--sse");
  t.after(fixture.close);
  const { code, output } = await check(fixture.url, "--json", "--only", "ping");
  assert.equal(code, 0, output);
  const { results } = JSON.parse(output) as { results: Record<string, string>[] };
  assert.deepEqual(results, [
    {
      scenario: "utilities",
      id: "ping",
      section: "2024-11-05/basic/utilities/ping",
      says: "a ping of the client is answered with nothing",
      verdict: "pass",
    },
  ]);
});

test("a server that is not there fails every check, at once, and the program exits 1", async () => {
  const { code, output } = await check(`http://127.0.0.1:${await freePort()}/sse`);
  assert.equal(code, 1);
  assert.match(output, /Total: 0 passed, \d+ failed\n$/);
});

test("bad arguments exit 2", async () => {
  for (const args of [[], ["not a URL"], ["http://127.0.0.1/sse", "--header", "no colon"]])
    assert.equal((await check(...args)).code, 2, args.join(" "));
});
