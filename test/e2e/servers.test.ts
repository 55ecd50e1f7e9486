import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { orderControl } from "../helpers/control.ts";
import { runCli, startDaemon } from "../helpers/daemon.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { NO_TERMINAL, onTerminal } from "../helpers/terminal.ts";
import { until } from "../helpers/until.ts";

const PATH = "/api/mcp/configs";
const CONFIG = { servers: {}, defaultServer: null };

interface Shown {
  id: string;
  slug: string;
  enabled: boolean;
  headers?: Record<string, null>;
}

test("servers are added, changed, imported and removed on the command line", async (t) => {
  const daemon = await startDaemon(t, { config: CONFIG });
  const { cli } = daemon;
  const file = (name: string, text: string): string => {
    const path = join(temporaryFolder(t), name);
    writeFileSync(path, text);
    return path;
  };
  const headers = file("headers.json", '{"Authorization": "Bearer of-a-file", "X-Old": "1"}');
  const added = await cli(
    ["server", "add", "Drawing", "--url", "http://127.0.0.1:9/sse", "--headers-file", headers],
    { isForPeople: true },
  );
  assert.match(added.stdout, /^Drawing is added as drawing\.\n\nNext:\n.*user grant @all drawing/);
  const changed = await cli(["server", "set", "drawing", "--remove-header", "x-old"]);
  assert.deepEqual(changed.json<Shown>().headers, { Authorization: null });
  assert.equal((await cli(["server", "disable", "drawing"])).json<Shown>().enabled, false);
  assert.equal((await cli(["server", "enable", "Drawing"])).json<Shown>().enabled, true);
  const program = await cli(["server", "add", "Files", "--", "cat", "-n", "--", "x"]);
  assert.deepEqual(program.json<object & { args: string[] }>().args, ["-n", "--", "x"]);
  const leaked = await cli(["server", "set", "drawing", "--header", "X-A=value"]);
  assert.deepEqual([leaked.code, leaked.error().type], [2, "USAGE"]);
  const unknown = await cli(["server", "show", "nothing"]);
  assert.deepEqual([unknown.code, unknown.error().type], [1, "SERVER_NOT_FOUND"]);

  const IMPORT = `{
    // As Claude, Cursor and VS Code have them.
    "mcpServers": {
      "Weather": { "url": "https://w.example/mcp", "headers": { "Authorization": "Bearer \${input:key}" } },
      "files": { "command": "cat", "args": ["-n", "--", "x",], },
    },
    "inputs": [{ "id": "key" }],
    "servers": { "notes": {
      "type": "stdio", "command": "cat", "env": { "KEY": "of-the-file" }, "limits": { "memory": "64M" },
    } },
  }`;
  const all = file("mcp.json", IMPORT);
  const first = await cli(["server", "import", all]);
  assert.deepEqual(first.json(), {
    added: ["weather", "notes"],
    changed: [],
    unchanged: ["files"],
  });
  const shown = (await cli(["server", "show", "notes"], { isForPeople: true })).stdout;
  assert.match(shown, /^env: +KEY \(set, not shown\)$/m);
  assert.match(shown, /^limits: +\{"memory":"64M"\}$/m);
  assert.doesNotMatch(shown, /of-the-file/);
  const again = await cli(["server", "import", all]);
  assert.deepEqual(again.json<{ unchanged: string[] }>().unchanged, ["weather", "files", "notes"]);
  const other = file("other.json", IMPORT.replace("w.example", "v.example"));
  const taken = await cli(["server", "import", other]);
  assert.deepEqual([taken.code, taken.error().type], [1, "SERVER_EXISTS"]);
  const replaced = await cli(["server", "import", other, "--replace"]);
  assert.deepEqual(replaced.json<{ changed: string[] }>().changed, ["weather"]);
  const before = await orderControl(daemon.socket, "GET", PATH);
  const bad = '{"servers": {"a": {"command": "cat"}, "b": {"comand": "c"}}}';
  const refused = await cli(["server", "import", file("bad.json", bad)]);
  assert.match(refused.error().message, /^b: /);
  assert.deepEqual(await orderControl(daemon.socket, "GET", PATH), before, "all or none");
  const env = { MCP_SUPERVISOR_CONFIG: daemon.configPath };
  const words = await runCli(["completion", "bash", "--", "server", "remove", "dr"], { env });
  assert.equal(words.stdout, "drawing\n");
  // The config cannot take the name of one of them.
  const good = readFileSync(daemon.configPath, "utf8");
  const clash = { ...(JSON.parse(good) as object), servers: { notes: { command: "cat" } } };
  writeFileSync(daemon.configPath, JSON.stringify(clash));
  const clashed = await cli(["reload"]);
  assert.deepEqual([clashed.code, clashed.error().type], [78, "CONFIG_INVALID"]);
  assert.match(
    clashed.error().details![0]!,
    /^servers\.notes: is the name of a server that the control API has/,
  );
  writeFileSync(daemon.configPath, good);
  assert.deepEqual(await orderControl(daemon.socket, "GET", PATH), before, "it changes nothing");

  const gone = await cli(["server", "remove", "drawing"], { isForPeople: true });
  assert.equal(gone.stdout, "drawing is removed; private homes: 0 deleted, 0 kept.\n");
  const listed = await cli(["server", "list"], { isForPeople: true });
  assert.match(
    listed.stdout,
    /^SERVER +NAME +FROM +WHERE +STATE *\nfiles +Files +rest +cat +enabled/,
  );
});

test(
  "a header's value is asked for on a terminal, and not shown",
  { skip: NO_TERMINAL },
  async (t) => {
    const daemon = await startDaemon(t, { config: CONFIG });
    const args = ["server", "add", "One", "--url", "http://127.0.0.1:9/mcp", "--header", "X-Key"];
    const terminal = onTerminal([...args, "--config", daemon.configPath]);
    await until(() => terminal.shown().includes("X-Key: "), "the value is asked for");
    terminal.type("typed-in-the-dark\n");
    assert.equal(await terminal.closed, 0, terminal.shown());
    assert.doesNotMatch(terminal.shown(), /typed-in-the-dark/);
    const { configs } = await orderControl<{ configs: Shown[] }>(daemon.socket, "GET", PATH);
    assert.deepEqual(configs[0]?.headers, { "X-Key": null });
  },
);

test("what was answered is there after a kill, at each write", async (t) => {
  const dir = temporaryFolder(t);
  let daemon = await startDaemon(t, { config: CONFIG, dir });
  const body = { name: "Kept", url: "http://127.0.0.1:9/mcp", headers: { "X-A": "1" } };
  const order = async (method: string, path: string, said: object): Promise<Shown> => {
    const answer = await orderControl<Shown>(daemon.socket, method, path, said);
    await daemon.stop("SIGKILL");
    daemon = await startDaemon(t, { config: CONFIG, dir });
    return answer;
  };
  const list = async (): Promise<Shown[]> =>
    (await orderControl<{ configs: Shown[] }>(daemon.socket, "GET", PATH)).configs;
  const made = await order("POST", PATH, body);
  assert.deepEqual(await list(), [made]);
  const changed = await order("PATCH", `${PATH}/${made.id}`, { headers: { "X-B": "2" } });
  assert.deepEqual(changed.headers, { "X-B": null });
  assert.deepEqual(await list(), [changed]);
  await order("DELETE", `${PATH}/${made.id}`, {});
  assert.deepEqual(await list(), []);
});
