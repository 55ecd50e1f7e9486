import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import { fetchesAtStart } from "../../src/config/fetching.ts";

const judge = (command: string, ...args: string[]): boolean =>
  fetchesAtStart(parseConfig({ servers: { s: { command, args } } }, "/").servers["s"]!);

test("a recipe that fetches its package at every start is known", () => {
  const fetching = [
    ["npx", "-y", "@scope/server"],
    ["/usr/bin/npx", "server"],
    ["uvx", "server"],
    ["npm", "exec", "--", "server"],
    ["pnpm", "dlx", "server"],
    ["yarn", "dlx", "server"],
    ["uv", "tool", "run", "server"],
    ["uv", "run", "--with", "fastmcp", "server.py"],
    ["pipx", "run", "server"],
    ["sh", "-c", "exec npx -y server"],
  ];
  for (const [command = "", ...args] of fetching)
    assert.ok(judge(command, ...args), [command, ...args].join(" "));
});

test("a recipe that starts what is installed is left alone", () => {
  const installed = [
    ["node", "./node_modules/npx/index.js"],
    ["python", "-m", "fastmcp", "run", "main.py"],
    ["uv", "run", "server.py"],
    ["npm", "start"],
    ["sh", "-c", "exec node server.js"],
  ];
  for (const [command = "", ...args] of installed)
    assert.ok(!judge(command, ...args), [command, ...args].join(" "));
});
