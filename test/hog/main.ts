// npm run hog [-- --level none|user|sandbox --seconds N]: what a fork bomb, a memory hog and a CPU hog cost
// the user beside them. Needs only Node, so it can be run inside a unit with Delegate= too, where the kernel
// holds all three: the daemon takes the cgroup that it is started in.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import type { DaemonProcess } from "../helpers/daemon-process.ts";

const { values } = parseArgs({
  options: {
    level: { type: "string", default: "none" },
    seconds: { type: "string", default: "10" },
  },
});
const seconds = Number(values.seconds);
const FIXTURES = fileURLToPath(new URL("../fixtures", import.meta.url));
const HUNGRY = `${FIXTURES}/servers/hungry.ts`;

const server = {
  type: "http",
  command: process.execPath,
  args: ["--no-warnings", HUNGRY, "--port", "${port}"],
  network: "none",
  paths: { read: [FIXTURES] },
  limits: { memory: "256M", pids: 64, cpu: 0.5 },
};
const daemon = await startDaemonProcess({
  isolation: values.level,
  servers: { calm: server, hungry: server },
  defaultServer: "calm",
});

interface Client {
  call: (tool: string, args?: object) => Promise<void>;
}

async function connect(name: string, which: string): Promise<Client> {
  const { key } = await daemon.addUser(name);
  const post = async (body: object, session?: string) =>
    await fetch(`${daemon.origin}/u/${name}/${which}/mcp`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${key.secret}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        ...(session === undefined ? {} : { "mcp-session-id": session }),
      },
      body: JSON.stringify({ jsonrpc: "2.0", ...body }),
    });
  const clientInfo = { name: "hog", version: "1" };
  const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo };
  const hello = await post({ id: 0, method: "initialize", params });
  await hello.text();
  if (hello.status !== 200) throw new Error(`${name}: ${hello.status}\n${daemon.log()}`);
  const session = hello.headers.get("mcp-session-id") ?? "";
  let id = 0;
  return {
    call: async (tool, args = {}) => {
      const what = { name: tool, arguments: args };
      const answer = await post({ id: ++id, method: "tools/call", params: what }, session);
      await answer.text();
    },
  };
}

/** The 99th percentile in ms of the calls that one user makes one after the other for a while. */
async function p99Of({ call }: Client): Promise<number> {
  const times: number[] = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const begun = performance.now();
    await call("echo", { text: "x" });
    times.push(performance.now() - begun);
  }
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
}

async function reasons({ cli }: DaemonProcess): Promise<string> {
  const { instances } = (await cli(["status"])) as {
    instances: { user: string; state: string; reason: string | null }[];
  };
  return instances
    .filter(({ user }) => user !== "calm")
    .map(({ user, state, reason }) => `${user}: ${state}, ${reason ?? "nothing said"}`)
    .join("\n");
}

try {
  const calm = await connect("calm", "calm");
  const alone = await p99Of(calm);
  const hogs = { memory: 1024, fork: 256, cpu: seconds };
  for (const [tool, amount] of Object.entries(hogs)) {
    const hog = await connect(tool, "hungry");
    // Its end may be the answer.
    void hog.call(tool, { amount }).catch(() => undefined);
  }
  const beside = await p99Of(calm);
  const ratio = (beside / alone).toFixed(2);
  console.log(
    `p99 of the calm user: ${alone.toFixed(2)} ms alone, ${beside.toFixed(2)} ms beside the hogs, ×${ratio}`,
  );
  console.log(await reasons(daemon));
} finally {
  await daemon.stop();
}
