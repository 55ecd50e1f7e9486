import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ERROR_CODES } from "../../src/errors.ts";
import { PAGES, ROOT, readPage } from "./pages.ts";

const source = globSync("src/**/*.ts", { cwd: ROOT })
  .map((file) => readFileSync(join(ROOT, file), "utf8"))
  .join("\n");
const found = (pattern: RegExp): string[] => Array.from(source.matchAll(pattern), (m) => m[1]!);

test("the parts that are made from the code are fresh", () => {
  const program = join(ROOT, "tools", "docs.mjs");
  const { status, stderr } = spawnSync(process.execPath, ["--no-warnings", program, "--check"], {
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  assert.equal(status, 0);
});

test("each part that is marked as made is closed", () => {
  for (const page of PAGES) {
    const marks = readPage(page).match(/<!-- .*? -->/g) ?? [];
    for (const [index, mark] of marks.entries())
      assert.match(mark, index % 2 === 0 ? /^<!-- generated: / : /^<!-- end of /, page);
    assert.equal(marks.length % 2, 0, page);
  }
});

test("the page about the control API has a row for every path that there is", () => {
  const page = readPage("docs/control-api.md");
  const paths = found(/\bmount\(router, "([^"]+)"/g);
  assert.ok(paths.length > 10);
  const named = Array.from(page.matchAll(/^\| `[A-Z]+ \/api([^`[]+)/gm), (match) => match[1]!);
  assert.deepEqual(paths.toSorted(), [...new Set(named)].toSorted());
});

test("the page about operations has a row for every metric that there is", () => {
  const page = readPage("docs/operations.md");
  const names = found(/\b(?:gauge|counter)\(\s*"([a-z_]+)"/g);
  assert.ok(names.length > 10);
  for (const name of names) assert.ok(page.includes(`\`${name}\``), name);
});

test("the fixed messages that the page about operations explains are those of the code", () => {
  const page = readPage("docs/operations.md");
  const table = /### Messages[^]*?(?=\n## )/.exec(page)?.[0] ?? "";
  const messages = Array.from(table.matchAll(/^\| `(.+?)` +\|/gm), (match) => match[1]!);
  // Without names, numbers and the like, which the code fills in.
  const fixed = messages.filter((message) => !/alice|…|\d|"/.test(message));
  assert.ok(fixed.length > 10);
  assert.deepEqual(
    fixed.filter((message) => !source.includes(message)),
    [],
  );
});

test("the page about clients explains every refusal that is a server's or the machine's", () => {
  const page = readPage("docs/clients.md");
  const codes = Object.entries(ERROR_CODES).filter(
    ([code, { blames, expose }]) => blames === "server" && expose && code !== "INTERNAL",
  );
  for (const [code, { status }] of codes)
    assert.match(page, new RegExp(`^\\| ${status} .*\`${code}\``, "m"), code);
});

test("the table of figures is where the bench looks for it", () => {
  const figures = /^\d+ cores \(.*\n\n(?:\|.*\n)+/m;
  assert.match(readPage("docs/performance.md"), figures);
});
