import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { test } from "node:test";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import { bearer, initialize, json } from "../helpers/fixtures.ts";
import { noSandbox, notRoot } from "../helpers/isolation.ts";
import { ask } from "../helpers/raw-http.ts";

/** What a hostile child does with the file, and with the name that it has: each line says what came of it. */
const SCRIPT = `
  const fs = require("node:fs");
  const file = process.env.USER_ACCESS_TOKEN_FILE;
  const folder = file.slice(0, file.lastIndexOf("/"));
  const tries = {
    read: () => fs.readFileSync(file, "utf8").length === 19 || fs.notHere(),
    write: () => fs.writeFileSync(file, "mine"),
    open: () => fs.chmodSync(file, 0o666),
    unlink: () => fs.unlinkSync(file),
    link: () => fs.symlinkSync("/etc/passwd", file + ".new"),
    rename: () => fs.renameSync(folder, folder + "-mine"),
    replace: () => { fs.writeFileSync(process.env.TMPDIR + "/x", "mine"); fs.renameSync(process.env.TMPDIR + "/x", file); },
  };
  for (const [name, attempt] of Object.entries(tries))
    try { attempt(); console.error(name + ": done"); }
    catch { console.error(name + ": refused"); }
`;

const LEVELS = [
  ["sandbox", noSandbox || notRoot, {}],
  ["user", notRoot, { uids: { from: 61_152, to: 61_160 } }],
] as const;

for (const [isolation, skip, config] of LEVELS)
  test(
    `at level ${isolation} a child reads the file with its token, and changes neither it nor its name`,
    { skip },
    async (t) => {
      const one = { command: process.execPath, args: ["-e", SCRIPT], tokenFile: true, cwd: "/usr" };
      const dir = daemonFolder(t);
      // Other accounts have to pass it.
      chmodSync(dir, 0o711);
      const daemon = await startDaemon(t, {
        dir,
        config: { isolation, ...config, defaultServer: "one", servers: { one } },
      });
      const { key } = await daemon.addUser("alice", "nineteen-characters");
      const headers = [...bearer(key.secret), ...json];
      // It serves nobody: what it says is in its logs.
      const path = "/u/alice/one/mcp";
      await ask(daemon.port, { method: "POST", path, headers, body: initialize() });
      const { stdout } = await daemon.cli(["logs", "alice"], { isForPeople: true });
      const told = [...stdout.matchAll(/(\w+): (done|refused)/g)].map(([line]) => line);
      assert.deepEqual([...new Set(told)].toSorted(), [
        "link: refused",
        "open: refused",
        "read: done",
        "rename: refused",
        "replace: refused",
        "unlink: refused",
        "write: refused",
      ]);
    },
  );
