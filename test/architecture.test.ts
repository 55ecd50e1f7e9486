import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const src = join(root, "src");

/**
 * The rooms by line, top to bottom: a room may import rooms on lower lines only. Beside a room stand
 * the packages that it, and no other room, may use.
 */
const LINES: readonly Record<string, readonly string[]>[] = [
  { cli: ["commander", "@modelcontextprotocol/sdk"] },
  { "daemon.ts": [] },
  { gateway: ["express", "httpxy", "zod"], api: ["express"] },
  { web: [] },
  { operations: [] },
  { tools: [] },
  { sessions: [] },
  { instances: [] },
  { links: [], engines: ["get-port", "@peculiar/x509", "reflect-metadata"] },
  { builtins: [] },
  { auth: ["jose"], tokens: ["openid-client"] },
  { vault: [], audit: [], notices: [], catalog: [] },
  { store: ["better-sqlite3"] },
  {
    http: [],
    systemd: ["koffi"],
    installs: ["execa"],
    config: ["yaml", "zod"],
    telemetry: ["pino", "prom-client"],
  },
  { mcp: [], platform: [] },
  { "containment.ts": [] },
  // The catalogue of errors says nothing of any room, so every room may use it.
  { "errors.ts": [] },
];

const lineOf = (room: string) => LINES.findIndex((line) => Object.hasOwn(line, room));
const packagesOf = (room: string) => LINES.find((line) => Object.hasOwn(line, room))?.[room] ?? [];
const roomOf = (file: string) => relative(src, file).split(sep)[0]!;
const packageOf = (specifier: string) =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

/** Every module that the file names, in static, dynamic and type imports and in re-exports. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  const named =
    /^(?:import|export)\s+(?:[\w*\s{},$]+?\s+from\s+)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm;
  return [...text.matchAll(named)].map((match) => match[1] ?? match[2]!);
}

const files = globSync("src/**/*.ts", { cwd: root }).map((file) => join(root, file));

for (const file of files) {
  test(`${relative(root, file)} imports only what its room may`, () => {
    const room = roomOf(file);
    assert.notEqual(lineOf(room), -1, `${room} stands on no line`);
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith("node:")) continue;
      if (!specifier.startsWith(".")) {
        assert.ok(
          packagesOf(room).includes(packageOf(specifier)),
          `${room} may not use ${specifier}`,
        );
        continue;
      }
      const target = roomOf(join(dirname(file), specifier));
      assert.ok(
        target === room || lineOf(target) > lineOf(room),
        `${room} may not import ${target}`,
      );
    }
  });
}

test("what runs in browsers imports nothing of the daemon's, and the daemon nothing of it", () => {
  const browser = join(src, "web", "browser") + sep;
  for (const file of files)
    for (const specifier of importsOf(file)) {
      if (!specifier.startsWith(".")) {
        assert.ok(!file.startsWith(browser), `${relative(src, file)} imports ${specifier}`);
        continue;
      }
      const target = join(dirname(file), specifier);
      assert.equal(target.startsWith(browser), file.startsWith(browser), relative(src, file));
    }
});

/** Files that import each other in a circle, a list of each. */
function circles(): string[][] {
  const imports = new Map(
    files.map((file) => [
      relative(src, file),
      importsOf(file)
        .filter((specifier) => specifier.startsWith("."))
        .map((specifier) => relative(src, join(dirname(file), specifier))),
    ]),
  );
  const reach = (from: string): Set<string> => {
    const seen = new Set<string>();
    const left = [...(imports.get(from) ?? [])];
    for (let file = left.pop(); file !== undefined; file = left.pop()) {
      if (seen.has(file)) continue;
      seen.add(file);
      left.push(...(imports.get(file) ?? []));
    }
    return seen;
  };
  const reached = new Map([...imports.keys()].map((file) => [file, reach(file)]));
  const found = [...reached].flatMap(([file, others]) =>
    others.has(file)
      ? [[...others].filter((other) => reached.get(other)!.has(file)).toSorted()]
      : [],
  );
  return [...new Map(found.map((circle) => [circle.join(), circle])).values()];
}

test("the composition root fits on a page: it opens, wires and closes, and decides nothing", () => {
  const lines = readFileSync(join(src, "daemon.ts"), "utf8").trimEnd().split("\n");
  assert.ok(lines.length <= 100, `${lines.length} lines`);
});

test("no file imports itself by way of others, in type imports neither", () => {
  assert.deepEqual(circles(), []);
});

test("no function, class or constant is exported that nothing else uses", () => {
  const others = globSync("{test,bench,tools,bin}/**/*.{ts,mjs,js}", { cwd: root });
  const texts = new Map(
    [...files, ...others.map((file) => join(root, file))].map((file) => [
      file,
      new Set(readFileSync(file, "utf8").match(/\w+/g)),
    ]),
  );
  const exported = /^export (?:async )?(?:function\*?|class|const) (\w+)/gm;
  const unused = files.flatMap((file) =>
    Array.from(readFileSync(file, "utf8").matchAll(exported), (match) => match[1]!)
      .filter((name) => ![...texts].some(([other, words]) => other !== file && words.has(name)))
      .map((name) => `${relative(src, file)}: ${name}`),
  );
  assert.deepEqual(unused, []);
});

/** Private parts of Node, by the names they have there. */
const NODES_OWN =
  /\b_handle\b|_httpMessage|shouldKeepAlive|manualStart|_(?:read|writ)ableState|kOutHeaders|process\.binding|getOwnPropertySymbols/;

test("what is borrowed from Node's inside is borrowed in platform", () => {
  const borrowers = files.filter((file) => NODES_OWN.test(readFileSync(file, "utf8")));
  assert.deepEqual(
    borrowers.map((file) => relative(src, file)),
    ["platform/node-inside.ts"],
  );
});

test("every room has exactly one file that says what it is for", () => {
  const headed = files
    .filter((file) => readFileSync(file, "utf8").startsWith("/** Room: "))
    .map(roomOf);
  assert.deepEqual(headed.toSorted(), [...new Set(files.map(roomOf))].toSorted());
  assert.deepEqual(headed.toSorted(), LINES.flatMap((line) => Object.keys(line)).toSorted());
});

test("the map of docs/architecture.md names exactly the rooms that there are", () => {
  const page = readFileSync(join(root, "docs", "architecture.md"), "utf8");
  const map = /## Rooms[^]*?\n```\n([^]*?)```/.exec(page)?.[1] ?? "";
  const named = [...map.matchAll(/^ *src\/([\w.-]+)\/? /gm)].map((match) => match[1]!);
  assert.deepEqual(named.toSorted(), LINES.flatMap((line) => Object.keys(line)).toSorted());
});

test("every production dependency is used, and only in the room that holds it", () => {
  const { dependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  ) as Record<"dependencies" | "optionalDependencies", Record<string, string>>;
  const allowed = LINES.flatMap((line) => Object.values(line).flat());
  // The default server and the demo run it as a program.
  assert.deepEqual(
    Object.keys({ ...dependencies, ...optionalDependencies }).toSorted(),
    [...new Set([...allowed, "@modelcontextprotocol/server-everything"])].toSorted(),
  );
});
