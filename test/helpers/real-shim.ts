import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { KeptAuthority } from "../../src/engines/kubernetes/authorities.ts";
import { makeAuthority } from "../../src/engines/kubernetes/authority.ts";
import { Identities } from "../../src/engines/kubernetes/identities.ts";
import { connectorOf } from "../../src/engines/kubernetes/shim-link.ts";
import type { ShimLink, ShimTarget } from "../../src/engines/kubernetes/shim.ts";
import { missing } from "./proxies.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const SOURCE = fileURLToPath(new URL("../../shim", import.meta.url));
const POD = { name: "mcps-0123456789-g1", uid: "6f1b" };

/** Why there is no shim to test with; undefined where there is. */
export const noShim = missing("go", "version");

let program: string | undefined;

/** Built once for all tests of a process; Go keeps what it has built. */
function shimProgram(t: TestContext): string {
  if (program !== undefined && existsSync(program)) return program;
  const made = path.join(temporaryFolder(t), "shim");
  const built = spawnSync("go", ["build", "-o", made, "."], { cwd: SOURCE, encoding: "utf8" });
  if (built.status !== 0) throw new Error(built.stderr);
  return (program = made);
}

type Identity = Pick<Identities, "contextFor">;

export interface RealShim {
  readonly process: ChildProcess;
  readonly port: number;
  readonly identities: Identities;
  /** The lines that its child wrote for the log. */
  readonly lines: string[];
  readonly connect: (more?: Partial<ShimTarget>, identities?: Identity) => Promise<ShimLink>;
}

export const newIdentities = async (): Promise<Identities> => {
  const authority: KeptAuthority = { number: 1, ...(await makeAuthority()) };
  return new Identities({ find: (number) => (number === 1 ? authority : undefined) });
};

/** A shim of this machine, as in a pod, on a port of the system's choice. */
export async function startShim(t: TestContext, orphan = "60s"): Promise<RealShim> {
  const folder = temporaryFolder(t);
  const identities = await newIdentities();
  const files = await identities.issueKeys(1, POD);
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
  const args = ["serve", `--keys=${folder}`, "--listen=127.0.0.1:0", `--orphan=${orphan}`];
  const shim = spawn(shimProgram(t), args, { stdio: ["ignore", "pipe", "inherit"] });
  t.after(async () => {
    const ended = once(shim, "exit");
    if (shim.exitCode === null && shim.signalCode === null) {
      shim.kill("SIGKILL");
      await ended;
    }
  });
  const [line] = (await once(createInterface({ input: shim.stdout }), "line")) as [string];
  const port = Number(line.split(":").at(-1));
  const lines: string[] = [];
  const connect = async (more = {}, as: Identity = identities): Promise<ShimLink> => {
    const where = { address: "127.0.0.1", port, pod: POD, authority: 1, memoryLimit: undefined };
    const onLine = (stream: string, text: string): void => void lines.push(`${stream} ${text}`);
    const { signal } = new AbortController();
    const link = await connectorOf(as)({ ...where, epoch: 1, onLine, signal, ...more });
    t.after(() => link.close());
    return link;
  };
  return { process: shim, port, identities, lines, connect };
}
