import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import { EVERYTHING } from "../helpers/everything.ts";
import { cacheFolder, must, run } from "./programs.ts";
import { check } from "./report.ts";

/** At the versions with which the pages of these clients were written. */
const PACKAGES = ["@anthropic-ai/claude-code@2.1.332", "@openai/codex@0.171.0"];

async function install(): Promise<string> {
  const folder = cacheFolder("interop-coding-clients");
  await mkdir(folder, { recursive: true });
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  const args = ["install", "--prefix", folder, ...quiet, "--prefer-offline", ...PACKAGES];
  await must(`interop cannot get ${PACKAGES.join(" and ")} from npm`, "npm", args);
  // Of the scripts that packages bring, the one that puts Claude Code's own program into its place.
  const place = join(folder, "node_modules", "@anthropic-ai", "claude-code");
  await must("Claude Code cannot be installed", process.execPath, ["install.cjs"], place);
  return join(folder, "node_modules", ".bin");
}

/** Their own command lines take what `url --client` prints for them, with the key in the environment. */
export async function visitWithCodingClients(): Promise<void> {
  const bin = await install();
  const everything = { command: process.execPath, args: [EVERYTHING, "stdio"] };
  const daemon = await startDaemonProcess({
    isolation: "none",
    defaultServer: "everything",
    servers: { everything },
  });
  const home = await mkdtemp(join(tmpdir(), "interop-coding-clients-"));
  try {
    const { secret } = (await daemon.addUser("alice", "token-of-alice")).key;
    const snippet = async (client: string): Promise<string> => {
      const { snippets } = (await daemon.cli(["url", "alice", "--client", client])) as {
        snippets: { text: string }[];
      };
      return snippets[0]!.text;
    };
    const type = async (line: string) => {
      const env = [`HOME=${home}`, `CODEX_HOME=${home}/codex`, `MCPS_KEY=${secret}`];
      const path = `PATH=${bin}:${process.env["PATH"]}`;
      return await run("env", [...env, path, "sh", "-c", line], { cwd: home });
    };
    const added = await type(await snippet("claude-code"));
    const listed = await type("claude mcp list");
    check("Claude Code takes the command that is printed for it, and connects", () => {
      assert.equal(added.code, 0, added.trouble);
      assert.match(listed.output, /^everything: .* Connected$/m);
    });
    await mkdir(join(home, "codex"));
    await writeFile(join(home, "codex", "config.toml"), await snippet("codex"));
    const read = await type("codex mcp list");
    check("Codex reads the text that is printed for it, and sends a bearer token", () => {
      assert.match(read.output, /^everything .* MCPS_KEY +enabled +Bearer token/m, read.trouble);
    });
  } finally {
    await daemon.stop();
    await rm(home, { recursive: true });
  }
}
