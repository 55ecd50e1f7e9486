import type { Conversation } from "../helpers/conversation.ts";
import { until } from "../helpers/until.ts";
import { WAYS, nameOf, planOf } from "./kills.ts";
import type { Way } from "./kills.ts";
import { Rig } from "./rig.ts";
import type { Fault, StartGateway } from "./rig.ts";
import { Sheet, atMost } from "./sheet.ts";

const LANES = 3;
const URI = "note://1";
/** A start takes some 150 ms; the rest is what the issue of a silent client may take. */
const MOST_MS = 2500;
const OTHER_TOOLS =
  '[{"name":"note","inputSchema":{"type":"object"}},{"name":"new","inputSchema":{"type":"object"}}]';

const UPDATED = "notifications/resources/updated";
const TOOLS_CHANGED = "notifications/tools/list_changed";
const PROMPTS_CHANGED = "notifications/prompts/list_changed";

export interface SilentOptions {
  ways?: readonly Way[];
  isTimed: boolean;
}

/** Line 5: what sessions are told whose clients only listen. */
export async function tellTheSilent(
  start: StartGateway,
  { ways = WAYS, isTimed }: SilentOptions,
): Promise<Sheet> {
  const sheet = new Sheet();
  const rig = await Rig.open(start, planOf(ways));
  try {
    await atMost(LANES, ways, async (way) => {
      // Nothing of a remote over Streamable HTTP tells its end to who is silent.
      if (way.kind !== "remote-http")
        await sheet.look(nameOf(way), () => tellOfResource(rig, way, sheet, isTimed));
      await sheet.look(nameOf(way), () => tellOfLists(rig, way, sheet));
    });
  } finally {
    await rig.close();
  }
  return sheet;
}

const countOf = (session: Conversation, method: string): number =>
  session.methods().filter((name) => name === method).length;

async function tellOfResource(rig: Rig, way: Way, sheet: Sheet, isTimed: boolean): Promise<void> {
  const session = await rig.session(way.server, way.front);
  await session.request("subscribe", "resources/subscribe", { uri: URI });
  await session.request("level", "logging/setLevel", { level: "error" });
  const fault = await rig.end(way.server);
  const { params } = await session.heard(UPDATED);
  const afterMs = performance.now() - fault.at;
  const name = `${nameOf(way)}: killed while subscribed and silent`;
  if (isTimed)
    sheet.note(`${name}, ms`, `at most ${MOST_MS}`, afterMs.toFixed(0), afterMs <= MOST_MS);
  await toAndFro(session, "after");
  const told = ofNext(rig, way, fault);
  const found = [
    `${countOf(session, UPDATED)} updated of ${String(params?.["uri"])}`,
    `subscribed ${told("resources/subscribe")}`,
    `level set ${told("logging/setLevel")}`,
  ];
  sheet.note(name, `1 updated of ${URI}, subscribed 1, level set 1`, found.join(", "));
  const from = countOf(session, UPDATED);
  await session.call("touch", "touch", { uri: URI });
  await until(() => countOf(session, UPDATED) > from, "a change is told");
  await toAndFro(session, "after that");
  const heard = countOf(session, UPDATED) - from;
  sheet.note(`${nameOf(way)}: a change after that is told`, "1 times", `${heard} times`);
  session.close();
}

/** How often the server that took the place of a killed one got a message. */
const ofNext =
  (rig: Rig, { server }: Way, { pids }: Fault) =>
  (method: string): number => {
    const received = rig.notes(server).received();
    const next = received.findLast(({ pid }) => !pids.includes(pid))?.pid;
    return received.filter(({ pid, got }) => pid === next && got.method === method).length;
  };

/** What the gateway had to say by now has come when these are answered. */
async function toAndFro(session: Conversation, id: string): Promise<void> {
  await session.call(`${id} 1`, "whoami");
  await session.call(`${id} 2`, "whoami");
}

async function tellOfLists(rig: Rig, way: Way, sheet: Sheet): Promise<void> {
  const { server, front } = way;
  const notes = rig.notes(server);
  const session = await rig.session(server, front);
  const show = async (id: string): Promise<void> => {
    for (const list of ["tools", "prompts"]) await session.request(`${list} ${id}`, `${list}/list`);
  };
  /** What is told across an end of the server. */
  const across = async (id: string): Promise<string> => {
    const from = [countOf(session, TOOLS_CHANGED), countOf(session, PROMPTS_CHANGED)];
    const fault = await rig.end(server);
    await toAndFro(session, id);
    const told = ofNext(rig, way, fault);
    await until(() => told("tools/list") > 0, "the gateway has looked at the lists");
    await toAndFro(session, `${id} again`);
    const tools = countOf(session, TOOLS_CHANGED) - from[0]!;
    return `${tools} of tools, ${countOf(session, PROMPTS_CHANGED) - from[1]!} of prompts`;
  };
  await show("first");
  const none = "0 of tools, 0 of prompts";
  sheet.note(`${nameOf(way)}: list_changed, nothing changed`, none, await across("unchanged"));
  notes.showTools(OTHER_TOOLS);
  const changed = await across("changed");
  sheet.note(`${nameOf(way)}: list_changed, tools changed`, "1 of tools, 0 of prompts", changed);
  await show("second");
  sheet.note(`${nameOf(way)}: list_changed, shown since`, none, await across("shown"));
  session.close();
}
