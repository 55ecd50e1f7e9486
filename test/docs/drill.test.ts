import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { serviceUnit } from "../../src/systemd/unit.ts";
import { fixture } from "../helpers/fixtures.ts";
import { PROGRAM } from "../helpers/program.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { readPage } from "./pages.ts";

const DRILL = fileURLToPath(new URL("drill.sh", import.meta.url));
const CONFIG_FILE = "/etc/mcp-supervisor/supervisor.config.json";

/** The commands of the drill, as somebody copies them. */
function commandsOfDrill(): string {
  const parts = readPage("docs/keys-and-backups.md").split(/^## /m);
  const drill = parts.find((part) => part.startsWith("The drill\n"))!;
  const blocks = Array.from(drill.matchAll(/^ *```sh\n([^]*?)^ *```$/gm), ([, block]) => block!);
  assert.equal(blocks.length, 4);
  return blocks.join("").replaceAll(/^ +/gm, "");
}

const unit = serviceUnit({
  user: "mcp-supervisor",
  exec: ["node", "serve", "--config", CONFIG_FILE],
  dataDir: "/var/lib/mcp-supervisor",
  controlSocket: "/var/lib/mcp-supervisor/control.sock",
  controlGroup: null,
  keyFile: "/etc/mcp-supervisor/vault.key",
  listen: { host: "127.0.0.1", port: 8040 },
  notifyAccess: "main",
  stopTimeoutMs: 1,
  needsHomes: false,
});

const BEFORE = `sudo systemctl start mcp-supervisor
echo token-of-ada | sudo mcp-supervisor user add ada --token-stdin
`;
const AFTER = `stat -c "%n %U %a" /mnt/backup/mcp.db /var/lib/mcp-supervisor/mcp-supervisor.db
sudo mcp-supervisor --json keyring status
sudo systemctl stop mcp-supervisor.socket mcp-supervisor
`;

test(
  "the commands of the drill, typed one after the other, bring a lost service back",
  { skip: process.getuid?.() !== 0 },
  (t) => {
    const folder = temporaryFolder(t);
    const config = {
      dataDir: "/var/lib/mcp-supervisor",
      listen: { host: "127.0.0.1", port: 0 },
      isolation: "none",
      servers: { echo: fixture("sse", "echo-sse") },
    };
    writeFileSync(join(folder, "config"), JSON.stringify(config));
    writeFileSync(join(folder, "unit"), unit);
    writeFileSync(join(folder, "key"), `${Buffer.alloc(32, 5).toString("base64")}\n`);
    writeFileSync(join(folder, "commands"), BEFORE + commandsOfDrill() + AFTER);
    const argv = ["--mount", "--pid", "--fork", "--kill-child", "--", "sh", DRILL];
    const { status, stdout, stderr } = spawnSync(
      "unshare",
      [...argv, folder, process.execPath, PROGRAM],
      { encoding: "utf8" },
    );
    assert.equal(status, 0, `${stdout}${stderr}`);
    assert.match(stdout, /is as it was when the backup was made/);
    assert.match(stdout, /1 access key opens .*, also those that were revoked since/);
    assert.match(stdout, /Back are also users that were removed or disabled/);
    assert.match(stdout, /^ada +/m);
    assert.match(stdout, /^\/mnt\/backup\/mcp\.db root 600$/m);
    assert.match(stdout, /\/mcp-supervisor\.db mcp-supervisor 600$/m);
    assert.match(stdout, /"keys":\[\{"id":0,"rows":1\}\]/);
  },
);
