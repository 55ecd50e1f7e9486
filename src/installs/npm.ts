import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { call, chooseProgram } from "./package-manager.ts";
import type { Fetch } from "./types.ts";

const unscoped = (name: string): string => name.replace(/^@[^/]+\//, "");

/** A script is started by this Node by name: what a child finds in its PATH may be another one. */
function startOf(file: string): { command: string; args: string[] } {
  const [firstLine = ""] = readFileSync(file, "latin1").split("\n", 1);
  const isScript = /\.[cm]?js$/.test(file) || /^#!.*\bnode\b/.test(firstLine);
  return isScript ? { command: process.execPath, args: [file] } : { command: file, args: [] };
}

/** Fetches a package and its dependencies with npm; they run no code of theirs unless they are let. */
export const fetchFromNpm: Fetch = async (folder, spec, { bin, allowScripts, onOutput }) => {
  // Makes npm take this folder, and not one above it, for the project.
  writeFileSync(path.join(folder, "package.json"), '{ "private": true }\n');
  const flags = ["--global=false", "--save-exact", "--omit=dev", "--no-audit", "--no-fund"];
  if (!allowScripts) flags.push("--ignore-scripts");
  await call("npm", ["install", "--prefix", folder, ...flags, `${spec.package}@${spec.version}`], {
    cwd: folder,
    onOutput,
  });
  const home = path.join(folder, "node_modules", spec.package);
  const manifest = JSON.parse(readFileSync(path.join(home, "package.json"), "utf8")) as {
    bin?: string | Record<string, string>;
  };
  const own = unscoped(spec.package);
  const programs =
    typeof manifest.bin === "string" ? { [own]: manifest.bin } : (manifest.bin ?? {});
  const name = chooseProgram(Object.keys(programs), own, bin);
  return startOf(path.join(home, programs[name] ?? ""));
};
