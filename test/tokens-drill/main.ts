// npm run tokens [-- --ends 1000] [--victim daemon]: a holder of refresh tokens of one use, the rooms alone or
// the built daemon, is ended as often by SIGTERM, and by SIGKILL, at random points of its refreshes. Exits
// 0 only if nothing was lost that need not be.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { endWhileRefreshing } from "./drill.ts";

const { values } = parseArgs({
  options: {
    ends: { type: "string", default: "1000" },
    victim: { type: "string", default: "holder" },
  },
});
const ends = Number(values.ends);
const victim = values.victim === "daemon" ? "daemon" : "holder";

async function drill(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "mcps-"));
  try {
    const { during, lost } = await endWhileRefreshing(folder, { signal, ends, victim });
    console.log(
      `${ends} times ${signal}: ${lost} refresh tokens lost${signal === "SIGKILL" ? `; ${during} ends came while a provider was asked, and each start found out what was lost` : ""}`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// Beside each other: a victim begins and ends on one core.
await Promise.all([drill("SIGTERM"), drill("SIGKILL")]);
