import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, must, run } from "./programs.ts";

const NAMES = ["go-sdk", "go-mcp-go"] as const;

/** Programs by the folder that they are made from. */
export type GoServers = Record<(typeof NAMES)[number], string>;

/**
 * Builds the Go servers; what Go has in its own cache is not built again. Resolves with undefined if
 * there is no Go on the PATH. Rejects with a `MissingError` if the modules are not to be had.
 */
export async function buildGoServers(): Promise<GoServers | undefined> {
  const version = await run("go", ["version"]).catch(() => undefined);
  if (version?.code !== 0) return undefined;
  const folder = cacheFolder("interop-go");
  await mkdir(folder, { recursive: true });
  const servers = {} as GoServers;
  // One after the other: the compiler takes all cores by itself.
  for (const name of NAMES) {
    const sources = fileURLToPath(new URL(name, import.meta.url));
    servers[name] = join(folder, name);
    const args = [
      "build",
      "-trimpath",
      "-buildvcs=false",
      "-mod=readonly",
      "-o",
      servers[name],
      ".",
    ];
    await must(`interop cannot build ${name} with go`, "go", args, sources);
  }
  return servers;
}
