// Builds src into dist from nothing, so that a file deleted from src is not shipped, and leaves a
// stamp that tells a finished build. The new one takes the place of the old in one move: programs
// that start meanwhile find one or the other.
//
// Each program becomes a few files that hold all that it is made of, because a start of some four hundred takes
// half as long again and 7 MiB more. zod is put in for the same reason; every other package stays where it is.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
// Beside it, because source maps name the sources by their place.
const made = join(root, `dist.${process.pid}.new`);
const old = join(root, `dist.${process.pid}.old`);
/** What is run: by people, and by the daemon. Apart from each other, because some are shown to a child alone. */
const PROGRAMS = [
  "cli/main.ts",
  "cli/probe-here.ts",
  "engines/process/fork-server.ts",
  "engines/process/forward.ts",
];
const isPackage = (id) => /^[\w@]/.test(id) && !/^zod(\/|$)/.test(id);

async function build(program) {
  const bundle = await rolldown({
    input: join(root, "src", program),
    platform: "node",
    external: isPackage,
  });
  const names = { entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js" };
  await bundle.write({ dir: made, format: "esm", sourcemap: true, ...names });
}

/** What runs in browsers: each module as it is, without its types, in folders that the daemon serves. */
function buildForBrowsers() {
  const [from, to] = [join(root, "src", "web", "browser"), join(made, "web")];
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", from, "--outDir", to], { stdio: ["ignore", 2, 2] });
  cpSync(join(from, "app.css"), join(to, "app.css"));
}

mkdirSync(made);
try {
  for (const program of PROGRAMS) await build(program);
  buildForBrowsers();
} catch (error) {
  rmSync(made, { recursive: true, force: true });
  throw error;
}
// What browsers read, as it is.
cpSync(join(root, "src", "web", "assets"), join(made, "assets"), { recursive: true });
writeFileSync(join(made, ".built"), "");
if (existsSync(dist)) renameSync(dist, old);
renameSync(made, dist);
rmSync(old, { recursive: true, force: true });
