import { spawn, spawnSync } from "node:child_process";
import type { TestContext } from "node:test";

/** Another machine, as far as TCP can tell: a network namespace at the other end of a cable. */
export interface FarSide {
  /** This machine's address on the cable. */
  address: string;
  /** Starts a client over there that sends this and prints what it gets. */
  dial: (port: number, words: string) => { text: () => string };
  /** From here on nothing comes back from over there, not even a refusal. */
  vanish: () => void;
}

const run = (command: string, ...args: string[]): string | undefined => {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? undefined : (error?.message ?? stderr.trim());
};

const CLIENT = `
const [host, port, words] = process.argv.slice(1);
const socket = require("node:net").connect(Number(port), host, () => socket.write(words));
socket.on("data", (chunk) => process.stdout.write(chunk));
socket.on("error", () => process.exit(1));
`;

/** Lays a cable to a namespace of its own, gone with the test; a text instead says why that cannot be. */
export function farSide(t: TestContext): FarSide | string {
  if (process.getuid?.() !== 0) return "only root can make a network namespace";
  const holder = spawn("unshare", ["--net", "sleep", "600"], { stdio: "ignore" });
  let missing: string | undefined;
  holder.on("error", (error) => (missing = error.message));
  t.after(() => holder.kill("SIGKILL"));
  const { pid } = holder;
  if (pid === undefined) return missing ?? "unshare is not installed";
  const [here, there] = [`mcps${pid}a`.slice(-15), `mcps${pid}b`.slice(-15)];
  // From the range for benchmarks (RFC 2544), so that it is nobody's.
  const net = `198.18.${(pid >> 6) & 255}.${(pid & 63) << 2}`.replace(/\d+$/, "");
  const [mine, theirs] = [1, 2].map((i) => `${net}${((pid & 63) << 2) + i}`);
  const mac = "02:00:00:00:00:02";
  const inside = (...args: string[]) => run("nsenter", "-t", String(pid), "-n", ...args);
  // unshare needs a moment to be over there; until then its namespace is ours.
  const away = (): boolean =>
    spawnSync("sh", [
      "-c",
      `[ "$(readlink /proc/${pid}/ns/net)" != "$(readlink /proc/self/ns/net)" ]`,
    ]).status === 0;
  for (let tries = 0; !away(); tries++) if (tries > 500) return "unshare has made no namespace";
  const problem =
    run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "address", mac) ??
    run("ip", "link", "set", there, "netns", String(pid)) ??
    run("ip", "addr", "add", `${mine}/30`, "dev", here) ??
    run("ip", "link", "set", here, "up") ??
    // Known for good: a neighbour that does not answer would be an error at once, and no silence.
    run("ip", "neigh", "replace", theirs!, "lladdr", mac, "dev", here, "nud", "permanent") ??
    inside("ip", "addr", "add", `${theirs}/30`, "dev", there) ??
    inside("ip", "link", "set", there, "up");
  t.after(() => run("ip", "link", "del", here));
  if (problem !== undefined) return `no cable between network namespaces: ${problem}`;
  return {
    address: mine!,
    dial(port, words) {
      const args = [
        "-t",
        String(pid),
        "-n",
        process.execPath,
        "-e",
        CLIENT,
        mine!,
        String(port),
        words,
      ];
      const client = spawn("nsenter", args, { stdio: ["ignore", "pipe", "inherit"] });
      t.after(() => client.kill("SIGKILL"));
      let text = "";
      client.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      return { text: () => text };
    },
    vanish: () => void inside("ip", "addr", "del", `${theirs}/30`, "dev", there),
  };
}
