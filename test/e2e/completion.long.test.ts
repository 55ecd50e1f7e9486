import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { symlinkSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import { fixture } from "../helpers/fixtures.ts";
import { PROGRAM } from "../helpers/program.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { NO_TERMINAL } from "../helpers/terminal.ts";
import { until } from "../helpers/until.ts";

/** How each shell is started as a person has it, with nobody's settings, and told of the completion. */
const SHELLS = {
  bash: ["bash --norc -i", "source <(mcp-supervisor completion bash)"],
  zsh: ["zsh -f -i", "autoload -U compinit; compinit -u; source <(mcp-supervisor completion zsh)"],
} as const;

/** Control-U. Not control-C: a shell that is still busy with a completion may take no notice of that. */
const EMPTY_LINE = "\u0015";

for (const [shell, [start, settings]] of Object.entries(SHELLS))
  test(
    `somebody who types in ${shell} gets users, options and files by the Tab key`,
    {
      skip: NO_TERMINAL,
    },
    async (t) => {
      if (spawnSync(shell, ["--version"]).error !== undefined)
        return t.skip(`${shell} is not on this machine`);
      const config = { servers: { echo: fixture("sse", "echo-sse") }, defaultServer: "echo" };
      const daemon = await startDaemon(t, { config });
      await daemon.addUser("alice");
      await daemon.addUser("bob");
      const folder = temporaryFolder(t);
      symlinkSync(PROGRAM, join(folder, "mcp-supervisor"));
      const PATH = [folder, dirname(process.execPath), process.env["PATH"]].join(delimiter);
      const env = {
        ...process.env,
        PATH,
        HOME: folder,
        TERM: "dumb",
        MCP_SUPERVISOR_CONFIG: daemon.configPath,
      };
      const child = spawn("script", ["-qec", start, "/dev/null"], { env });
      t.after(() => child.kill());
      const closed = once(child, "close");
      let shown = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => (shown += chunk));
      const type = async (keys: string, wanted: RegExp): Promise<void> => {
        shown = "";
        child.stdin.write(keys);
        await until(() => wanted.test(shown), `${keys} shows ${String(wanted)}`).catch(() =>
          assert.fail(`${keys} shows ${JSON.stringify(shown)}`),
        );
      };
      // Not as it is typed, which is shown too.
      await type(`${settings}; echo it is "ready"\n`, /it is ready/);
      await type("mcp-supervisor user show bo\t", /show bob /);
      await type(`${EMPTY_LINE}mcp-supervisor status --fa\t`, /--failing /);
      await type(`${EMPTY_LINE}mcp-supervisor backup /et\t`, /\/etc\//);
      child.stdin.write(EMPTY_LINE);
      child.stdin.end("exit\n");
      await closed;
    },
  );
