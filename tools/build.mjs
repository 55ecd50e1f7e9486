// Builds src into dist from nothing, so that a file deleted from src is not shipped, and leaves a
// stamp that tells a finished build from one that was cut short.
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(join(root, "dist"), { recursive: true, force: true });
const done = spawnSync(join(root, "node_modules", ".bin", "tsc"), ["-p", root], {
  stdio: "inherit",
});
if (done.status !== 0) process.exit(done.status ?? 1);
writeFileSync(join(root, "dist", ".built"), "");
