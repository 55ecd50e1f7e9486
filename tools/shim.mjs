// Builds the shim that goes into pods, for each kind of machine that nodes are of: node tools/shim.mjs
// Without Go there is none, and nothing but pods needs one.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ARCHITECTURES = ["amd64", "arm64"];

/** Resolves to false where there is no Go. Throws what Go says of a shim that it cannot build. */
export function buildShim(folder = join(ROOT, "dist", "shim")) {
  if (spawnSync("go", ["version"]).error !== undefined) return false;
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  mkdirSync(folder, { recursive: true });
  for (const architecture of ARCHITECTURES) {
    const file = join(folder, `linux-${architecture}`);
    const flags = ["-trimpath", "-ldflags", `-s -w -X main.version=${version}`, "-o", file];
    const env = { ...process.env, CGO_ENABLED: "0", GOOS: "linux", GOARCH: architecture };
    const options = { cwd: join(ROOT, "shim"), env, encoding: "utf8" };
    const { status, stderr } = spawnSync("go", ["build", ...flags, "."], options);
    if (status !== 0) throw new Error(`the shim cannot be built for ${architecture}: ${stderr}`);
  }
  return true;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && !buildShim())
  console.error("there is no Go here: the shim that goes into pods was not built");
