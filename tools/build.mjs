// Builds src into dist from nothing, so that a file deleted from src is not shipped, and leaves a
// stamp that tells a finished build. The new one takes the place of the old in one move: programs
// that start meanwhile find one or the other.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
// Beside it, because source maps name the sources by their place.
const made = join(root, `dist.${process.pid}.new`);
const old = join(root, `dist.${process.pid}.old`);
const done = spawnSync(join(root, "node_modules", ".bin", "tsc"), ["-p", root, "--outDir", made], {
  stdio: "inherit",
});
if (done.status !== 0) {
  rmSync(made, { recursive: true, force: true });
  process.exit(done.status ?? 1);
}
// What browsers read, as it is.
cpSync(join(root, "src", "web", "assets"), join(made, "web", "assets"), { recursive: true });
writeFileSync(join(made, ".built"), "");
if (existsSync(dist)) renameSync(dist, old);
renameSync(made, dist);
rmSync(old, { recursive: true, force: true });
