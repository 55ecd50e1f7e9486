import { globSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The built program, which is what users run, and starts in half the time of the source. */
export const PROGRAM = join(ROOT, "bin", "mcp-supervisor.js");

function assertFresh(): void {
  const built = statSync(join(ROOT, "dist", ".built"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const isFresh = globSync("src/**", { cwd: ROOT }).every(
    (file) => statSync(join(ROOT, file)).mtimeMs <= built,
  );
  if (!isFresh) throw new Error("the build is older than the source: npm run build renews it");
}

// Whoever runs many files has built before them, and may write on meanwhile.
if (process.env["MCP_SUPERVISOR_TEST_RUN"] === undefined) assertFresh();
