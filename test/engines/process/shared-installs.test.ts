import assert from "node:assert/strict";
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { NOBODY } from "../../../src/engines/process/confinement.ts";
import { isRoot } from "../../../src/engines/process/levels.ts";
import { startProcess } from "../../../src/engines/process/start-process.ts";
import { isInstalled } from "../../helpers/installed.ts";
import { temporaryFolder } from "../../helpers/store.ts";

test("a sandbox reads what is installed for all, writes none of it, and sees nothing beside it", async (t) => {
  if (!isInstalled("bwrap")) return t.skip("bubblewrap is not installed");
  const dataDir = join(temporaryFolder(t), "data");
  const shared = join(dataDir, "servers");
  const home = join(dataDir, "homes", "alice");
  const socketDir = join(dataDir, "run");
  for (const folder of [shared, home, socketDir]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(shared, "server.txt"), "installed");
  writeFileSync(join(dataDir, "secret.txt"), "secret");
  const uid = isRoot() ? NOBODY : null;
  if (uid !== null) chownSync(home, uid, uid);
  const script = `cat ${shared}/server.txt; echo; ls ${dataDir}; touch ${shared}/new || echo refused`;
  const lines: string[] = [];
  const child = await startProcess(
    {
      argv: ["/bin/sh", "-c", script],
      cwd: "/",
      env: { PATH: "/usr/bin:/bin" },
      confinement: {
        level: "sandbox",
        uid,
        home,
        network: "none",
        port: null,
        socketDir,
        reach: [],
        paths: { read: [], write: [] },
        hidden: [dataDir],
        shared: [shared],
      },
      stdout: "lines",
      eofGraceMs: 10_000,
      stopTimeoutMs: 0,
    },
    (stream, line) => {
      if (stream === "stdout") lines.push(line);
    },
  );
  await child.stop();
  await child.drained;
  assert.deepEqual(lines, ["installed", "homes", "servers", "refused"]);
});
