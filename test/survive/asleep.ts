import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Conversation } from "../helpers/conversation.ts";
import { until } from "../helpers/until.ts";
import { FRONTS, Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";
import { nameOf, planOf } from "./kills.ts";
import type { Way } from "./kills.ts";
import { Sheet, atMost } from "./sheet.ts";

const KINDS = ["stdio", "stdio-session", "sse", "http"] as const;
const FEW = 5;
const POLLS = 20;
const MOST_MS = 20;
const VERSION = "2025-03-26";
const SHOWS_TOKEN =
  '[{"name":"of TOKEN","inputSchema":{"type":"object"},"_meta":{ "ratio": 1.50 }}]';

export interface AsleepOptions {
  kinds?: readonly Way["kind"][];
  startMs: number;
  /** Clients that begin while the server sleeps. */
  clients: number;
  isTimed: boolean;
}

/** The text of the result in an answer. */
const resultText = (text: string): string =>
  text.slice(text.indexOf('"result":') + '"result":'.length, -1);

/** What the child itself answers. */
async function directly(entry: { command: string; args: string[] }): Promise<[string, string]> {
  const args = entry.args.filter((arg) => !/^(?:--port|\$\{port\})$/.test(arg));
  const child = spawn(entry.command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "close");
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  const say = (message: object) =>
    child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  say({ id: 1, method: "initialize", params: { protocolVersion: VERSION, capabilities: {} } });
  say({ method: "notifications/initialized" });
  say({ id: 2, method: "tools/list" });
  await until(() => lines.length === 2, "the child has answered");
  child.stdin.end();
  await ended;
  return [resultText(lines[0]!), resultText(lines[1]!)];
}

/** Line 7: clients that begin, and look around, while the server sleeps. */
export async function greetWhileAsleep(
  start: StartGateway,
  { kinds = KINDS, startMs, clients, isTimed }: AsleepOptions,
): Promise<Sheet> {
  const sheet = new Sheet();
  const ways = kinds.flatMap((kind) =>
    FRONTS.map((front): Way => ({ kind, front, server: `${kind}-by-${front}` })),
  );
  const off = ways.map((way) => ({ ...way, server: `${way.server}-off` }));
  const env = { START_MS: String(startMs) };
  const rig = await Rig.open(start, {
    ...planOf(ways, { more: { env } }),
    ...planOf(off, { more: { env, manifest: false } }),
  });
  try {
    await rig.addUser("bob", "token-of-bob");
    const prepared = new Map<Way, Conversation>();
    const all = ways.length + off.length;
    await atMost(all, [...ways, ...off], (way) =>
      sheet.look(nameOf(way), async () => void prepared.set(way, await prepare(rig, way))),
    );
    // One after the other: it is their time that is judged.
    await atMost(1, ways, (way) =>
      sheet.look(nameOf(way), async () => {
        await poll(rig, way, prepared.get(way)!, sheet);
        await greet(rig, way, { clients, isTimed }, sheet);
      }),
    );
    await atMost(all, ways, (way) => sheet.look(nameOf(way), () => otherKeys(rig, way, sheet)));
    await atMost(all, off, (way) =>
      sheet.look(nameOf(way), async () => {
        const waits = await waitsForChild(rig, way);
        sheet.note(`${nameOf(way)} with "manifest": false`, "waits for the child", waits);
      }),
    );
  } finally {
    await rig.close();
  }
  return sheet;
}

/** A first session, whose server then sleeps. */
async function prepare(rig: Rig, { server, front }: Way): Promise<Conversation> {
  const notes = rig.notes(server);
  const session = await rig.session(server, front);
  await session.request("tools", "tools/list");
  // The client has asked for none: they are what the gateway has asked for itself.
  const lists = ["prompts/list", "resources/list"];
  const isSeen = () => {
    const methods = new Set(notes.received().map(({ got }) => got.method));
    return lists.every((method) => methods.has(method));
  };
  // Where there is no manifest nothing comes of it.
  await until(isSeen, "the gateway has asked for the lists", 2000).catch(() => undefined);
  await session.call("fence", "whoami");
  await sleep(rig, server);
  return session;
}

async function stateOf(rig: Rig, server: string, user = "alice"): Promise<string> {
  const states = (await rig.rows(server, user)).map(({ state }) => state);
  // A session's own child leaves no row behind.
  return [...new Set(states)].toSorted().join(" ") || "stopped";
}

async function sleep(rig: Rig, server: string): Promise<void> {
  await rig.order("stop", server);
  await until(async () => (await stateOf(rig, server)) === "stopped", `${server} sleeps`);
}

/** Whether a client that begins now has its answer before the child is ready. */
async function waitsForChild(rig: Rig, way: Way, user = "alice"): Promise<string> {
  const session = await rig.session(way.server, way.front, {}, { user });
  const state = await stateOf(rig, way.server, user);
  session.close();
  return state.includes("ready") ? "waits for the child" : `is answered while it is ${state}`;
}

const quantile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * part) - 1] ?? 0;

async function greet(
  rig: Rig,
  way: Way,
  { clients, isTimed }: Pick<AsleepOptions, "clients" | "isTimed">,
  sheet: Sheet,
): Promise<void> {
  const { server, front } = way;
  const name = nameOf(way);
  const own = await directly(rig.entry(server));
  // Each session of a server that is not shared starts a child.
  const count = way.kind === "stdio-session" ? Math.min(clients, FEW) : clients;
  const [hellos, lists] = [[] as number[], [] as number[]];
  let same = 0;
  const states: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const one = await rig.session(server, front, {}, { isWithoutStream: true });
    const { ms } = await one.ask("tools", "tools/list");
    hellos.push(one.helloMs);
    lists.push(ms);
    const [hello, tools] = one.texts.map(resultText);
    if (hello === own[0] && tools === own[1]) same += 1;
    if (i === 0 || i === count - 1)
      states.push((await stateOf(rig, server)).includes("starting") ? "starting" : "no");
    one.close();
  }
  sheet.note(`${name}: results that are the child's own`, count, same);
  sheet.note(
    `${name}: a child is starting after the first, and the last`,
    "starting, then starting",
    states.join(", then "),
  );
  if (isTimed)
    for (const [what, took] of Object.entries({ initialize: hellos, "tools/list": lists })) {
      const p99 = quantile(took, 0.99);
      sheet.note(`${name}: ${what} p99`, `at most ${MOST_MS} ms`, p99.toFixed(1), p99 <= MOST_MS);
    }
}

async function poll(rig: Rig, { server, ...way }: Way, session: Conversation, sheet: Sheet) {
  let answered = 0;
  for (let i = 0; i < POLLS; i += 1) {
    const { result } = await session.ask(`poll ${i}`, "tools/list");
    if (result !== undefined) answered += 1;
  }
  sheet.note(
    `${nameOf({ server, ...way })}: a poller of tools/list`,
    `${POLLS} answers, stopped`,
    `${answered} answers, ${await stateOf(rig, server)}`,
  );
  session.close();
}

/** What is answered by the child alone, since it is another one, or somebody else's. */
async function otherKeys(rig: Rig, way: Way, sheet: Sheet): Promise<void> {
  const { server, front } = way;
  const name = nameOf(way);
  await sleep(rig, server);
  await rig.reload(server, (entry) => {
    entry["env"] = { ...(entry["env"] as object), OTHER: "1" };
  });
  sheet.note(`${name}: a changed env`, "waits for the child", await waitsForChild(rig, way));
  rig.notes(server).showTools(SHOWS_TOKEN);
  await sleep(rig, server);
  await rig.setToken(server, "second-token-of-alice");
  sheet.note(`${name}: a new token`, "waits for the child", await waitsForChild(rig, way));
  await sleep(rig, server);
  const waits = await waitsForChild(rig, way, "bob");
  const bobs = await rig.session(server, front, {}, { user: "bob" });
  const shown = JSON.stringify(await bobs.request("tools", "tools/list"));
  const whose = shown.includes("alice") ? "alice's token" : shown.includes("bob") ? "bob's" : shown;
  sheet.note(`${name}: bob`, "waits for the child, sees bob's", `${waits}, sees ${whose}`);
  bobs.close();
}
