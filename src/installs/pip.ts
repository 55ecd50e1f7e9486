import { existsSync } from "node:fs";
import path from "node:path";
import { call, chooseProgram } from "./package-manager.ts";
import type { Call } from "./package-manager.ts";
import type { Fetch } from "./types.ts";

const PROGRAMS_OF = `import importlib.metadata, json, sys
points = importlib.metadata.distribution(sys.argv[1]).entry_points
print(json.dumps([point.name for point in points if point.group == "console_scripts"]))`;

const hasUv = (): boolean =>
  (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(path.join(folder, "uv")));

/** An environment with the package in it, made by uv where there is one, else by Python's own means. */
async function makeEnvironment(
  folder: string,
  spec: string,
  allowScripts: boolean,
  how: Call,
): Promise<void> {
  const python = path.join(folder, "bin", "python");
  if (hasUv()) {
    // Copied, not linked: what is made read-only here must not be the files of its cache.
    const flags = ["--link-mode", "copy", ...(allowScripts ? [] : ["--no-build"])];
    await call("uv", ["venv", "--python-preference", "only-system", folder], how);
    await call("uv", ["pip", "install", "--python", python, ...flags, spec], how);
    return;
  }
  const flags = ["--no-input", "--disable-pip-version-check", "--compile"];
  if (!allowScripts) flags.push("--only-binary", ":all:");
  await call("python3", ["-m", "venv", folder], how);
  await call(python, ["-m", "pip", "install", ...flags, spec], how);
}

/** Fetches a package into a Python environment of its own; only built packages are taken, which run no code, unless they are let. */
export const fetchFromPip: Fetch = async (folder, spec, { bin, allowScripts, onOutput }) => {
  const how = { cwd: folder, onOutput };
  const environment = path.join(folder, "venv");
  await makeEnvironment(environment, `${spec.package}==${spec.version}`, allowScripts, how);
  const programs = path.join(environment, "bin");
  const own = spec.package.replace(/\[.*/, "");
  const names = await call(path.join(programs, "python"), ["-c", PROGRAMS_OF, own], {
    cwd: folder,
    onOutput: () => undefined,
  });
  const name = chooseProgram(JSON.parse(names) as string[], own, bin);
  return { command: path.join(programs, name), args: [] };
};
