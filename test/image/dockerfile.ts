import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface Instruction {
  name: string;
  /** What stands behind the name, on one line. */
  rest: string;
}

/** The instructions of the Dockerfile, by stage: what stands before the first FROM is of none. */
export function readDockerfile(): Instruction[][] {
  const text = readFileSync(join(ROOT, "Dockerfile"), "utf8");
  const lines = text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n")
    .replace(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const stages: Instruction[][] = [[]];
  for (const line of lines) {
    const [, name = "", rest = ""] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === "FROM") stages.push([]);
    stages.at(-1)!.push({ name, rest });
  }
  return stages;
}

/** What an image of the last stage is run with. */
export function imageConfig(): {
  packages: string[];
  user: string;
  env: string[];
  entrypoint: string[];
  command: string[];
  healthCheck: string[];
} {
  const last = readDockerfile().at(-1)!;
  const of = (wanted: string): string => last.find(({ name }) => name === wanted)?.rest ?? "";
  const list = (text: string): string[] =>
    JSON.parse(/\[.*\]$/.exec(text)?.[0] ?? "[]") as string[];
  const [, packages = ""] =
    /apt-get install -y --no-install-recommends ([\w\d ]+)/.exec(of("RUN")) ?? [];
  return {
    packages: packages.trim().split(" "),
    user: of("USER"),
    env: last.filter(({ name }) => name === "ENV").map(({ rest }) => rest),
    entrypoint: list(of("ENTRYPOINT")),
    command: list(of("CMD")),
    healthCheck: list(of("HEALTHCHECK")),
  };
}
