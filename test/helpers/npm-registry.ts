import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder } from "./store.ts";

export interface Packaged {
  manifest: { name: string; version: string } & Record<string, unknown>;
  /** Files beside package.json, by their paths. */
  files: Record<string, string>;
}

export interface NpmRegistry {
  /** What makes npm use it, and a cache of its own. */
  env: NodeJS.ProcessEnv;
  /** How many requests came. */
  requests: () => number;
}

function tarballOf(folder: string, { manifest, files }: Packaged): Buffer {
  const home = join(folder, `${manifest.name.replaceAll("/", "+")}-${manifest.version}`);
  const all = { ...files, "package.json": JSON.stringify(manifest) };
  for (const [name, text] of Object.entries(all)) {
    const file = join(home, "package", name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { mode: 0o755 });
  }
  const made = spawnSync("tar", ["-C", home, "-czf", `${home}.tgz`, "package"]);
  if (made.status !== 0) throw new Error(`tar: ${made.stderr.toString()}`);
  return readFileSync(`${home}.tgz`);
}

/** A registry on loopback with these packages in it, as npm itself sees one. */
export async function startNpmRegistry(
  t: TestContext,
  packages: readonly Packaged[],
): Promise<NpmRegistry> {
  const folder = temporaryFolder(t);
  const answers = new Map<string, Buffer>();
  let count = 0;
  const server = createServer((req, res) => {
    count += 1;
    const body = answers.get(decodeURIComponent(req.url ?? ""));
    res.statusCode = body === undefined ? 404 : 200;
    res.end(body ?? "{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const name of new Set(packages.map(({ manifest }) => manifest.name))) {
    const ofName = packages.filter(({ manifest }) => manifest.name === name);
    const versions = ofName.map((packaged) => {
      const tarball = tarballOf(folder, packaged);
      const { version } = packaged.manifest;
      const path = `/${name}/-/${version}.tgz`;
      answers.set(path, tarball);
      const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
      const dist = { tarball: `${origin}${path}`, integrity };
      return [version, { ...packaged.manifest, dist }] as const;
    });
    const document = {
      name,
      "dist-tags": { latest: versions.at(-1)?.[0] },
      versions: Object.fromEntries(versions),
    };
    answers.set(`/${name}`, Buffer.from(JSON.stringify(document)));
  }
  const cache = join(folder, "cache");
  return {
    env: {
      npm_config_registry: `${origin}/`,
      npm_config_cache: cache,
      npm_config_fetch_retries: "0",
    },
    requests: () => count,
  };
}
