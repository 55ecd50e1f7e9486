import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { Conversation } from "../helpers/conversation.ts";
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import type { DaemonProcess } from "../helpers/daemon-process.ts";
import { heldListener } from "../helpers/held-listener.ts";
import { until } from "../helpers/until.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CLUSTER = join(ROOT, "tools/kubernetes/cluster.mjs");
export const CHILDREN = "mcp-supervisor-children";
/** Of the control plane's host, where the tests and their gateways run. */
const GATEWAY_ADDRESS = "10.231.0.1";
export const SERVERS_IMAGE = "localhost/mcps/servers:test";

export const cluster = (...args: string[]): string =>
  execFileSync(process.execPath, ["--no-warnings", CLUSTER, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", 2],
  });

export function kubectl(args: readonly string[], input?: string): string {
  const program = join(clusterFolder(), "../bin/kubectl");
  return execFileSync(program, args, { encoding: "utf8", input, maxBuffer: 2 ** 28 });
}

/** Where the cluster keeps what it is at the moment. */
export function clusterFolder(): string {
  const file = process.env["KUBECONFIG"];
  if (file === undefined) throw new Error("run this by npm run test:kubernetes");
  return join(file, "..");
}

/** Users of this run alone: what a run that was cut short has left is not counted. */
const slugOf = (user: string): string => `${user}-${process.pid}`;

interface Items<T> {
  items: T[];
}
export interface PodView {
  metadata: { name: string; uid: string; annotations: Record<string, string> };
  spec: { nodeName?: string };
  status: { phase: string; podIP?: string };
}

/** The pods of these users' children. */
export function podsOf(...users: string[]): PodView[] {
  const text = kubectl(["-n", CHILDREN, "get", "pods", "-o", "json"]);
  const { items } = JSON.parse(text) as Items<PodView>;
  const slugs = users.map(slugOf);
  return items.filter(({ metadata }) =>
    slugs.includes(metadata.annotations?.["mcp-supervisor/user"] ?? ""),
  );
}

/** What a gateway outside of the cluster needs inside, as it is shipped. */
export function applyManifests(): void {
  const text = kubectl(["kustomize", join(ROOT, "deploy/kubernetes/outside")]);
  kubectl(["apply", "-f", "-"], text.replace("192.0.2.1/32", `${GATEWAY_ADDRESS}/32`));
}

/** A kubeconfig whose one right is the shipped Role. */
function kubeconfigOfRole(folder: string): string {
  const token = kubectl(["-n", "mcp-supervisor", "create", "token", "mcp-supervisor"]).trim();
  const admin = JSON.parse(readFileSync(process.env["KUBECONFIG"]!, "utf8")) as {
    users: object[];
    contexts: { context: { user: string } }[];
  };
  admin.users = [{ name: "gateway", user: { token } }];
  admin.contexts[0]!.context.user = "gateway";
  const file = join(folder, "kubeconfig");
  writeFileSync(file, JSON.stringify(admin), { mode: 0o600 });
  return file;
}

/** Recipes of the servers in the image of the tests. `mark` is found among the processes of this machine. */
export const recipes = {
  stdio: (mark = "/dev/null") => ({
    command: "node",
    args: ["--no-warnings", "test/fixtures/servers/witness.ts", "--record", mark],
  }),
  sse: () => ({ type: "sse", ...listening }),
  http: () => ({ type: "http", ...listening }),
};
const listening = {
  command: "node",
  args: ["--no-warnings", "test/fixtures/servers/echo-sse.ts", "--port", "${port}"],
};

export interface Gateway {
  daemon: DaemonProcess;
  /** Adds a user with a token, and opens a session. */
  open: (user: string, server: string, front: "sse" | "mcp") => Promise<Conversation>;
  /** `kill -9`, and the next daemon on the same data and port. */
  killAndRestart: () => Promise<void>;
  folder: string;
}

/** The real daemon, with the rights of the shipped Role and no others; all its pods are gone after the test. */
export async function startGateway(
  t: TestContext,
  servers: Record<string, object>,
  kubernetes: object = {},
): Promise<Gateway> {
  applyManifests();
  const folder = mkdtempSync(join(tmpdir(), "mcp-supervisor-test-"));
  const config = {
    engine: "kubernetes",
    kubernetes: {
      namespace: CHILDREN,
      shimImage: "localhost/mcp-supervisor/shim:test",
      image: SERVERS_IMAGE,
      kubeconfig: kubeconfigOfRole(folder),
      networkPolicy: "assumed",
      ...kubernetes,
    },
    stopTimeout: "2s",
    defaultServer: Object.keys(servers)[0],
    servers,
  };
  const { fd } = heldListener(t);
  const life = { dir: folder, listenFd: fd };
  const secrets = new Map<string, string>();
  const sessions: Conversation[] = [];
  const gateway: Gateway = {
    daemon: await startDaemonProcess(config, { life }),
    folder,
    open: async (user, server, front) => {
      const { daemon } = gateway;
      const secret =
        secrets.get(user) ?? (await daemon.addUser(slugOf(user), `token-of-${user}`)).key.secret;
      secrets.set(user, secret);
      const place = { origin: daemon.origin, user: slugOf(user), server, secret, front };
      const opened = await Conversation.open(place);
      sessions.push(opened);
      return opened;
    },
    killAndRestart: async () => {
      await gateway.daemon.end("SIGKILL");
      gateway.daemon = await startDaemonProcess(config, { life });
    },
  };
  t.after(async () => {
    for (const session of sessions) session.close();
    try {
      await gateway.daemon.cli(["stop", "--all"]);
    } finally {
      await gateway.daemon.stop();
    }
    if (secrets.size > 0)
      await until(() => podsOf(...secrets.keys()).length === 0, "no pod is left", 60_000);
    rmSync(folder, { recursive: true, force: true });
  });
  return gateway;
}

/** The processes of this machine that were started with this word, whatever pod they are in. */
export function processesWith(mark: string): number[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return words.includes(mark) ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
}

/** Looks many times a second how many lives of one child there are at once; answers with the most. */
export function countLives(mark: string): { most: () => number; seen: () => number } {
  let most = 0;
  const seen = new Set<number>();
  const timer = setInterval(() => {
    const pids = processesWith(mark);
    most = Math.max(most, pids.length);
    for (const pid of pids) seen.add(pid);
  }, 50);
  return {
    most: () => {
      clearInterval(timer);
      return most;
    },
    seen: () => seen.size,
  };
}
