import { until } from "../helpers/until.ts";
import { FRONTS, Rig } from "./rig.ts";
import type { StartGateway } from "./rig.ts";
import { nameOf, planOf } from "./kills.ts";
import type { Way } from "./kills.ts";
import { Sheet, atMost } from "./sheet.ts";

const LANES = 3;
const KINDS = ["stdio", "sse", "http", "remote-sse", "remote-http"] as const;

/** Why a session cannot go on, and what the server does then. */
const REASONS = {
  stateful: {},
  "another version": { version: "2024-11-05" },
  "no initialize": { refuses: true },
  "no prompts": { lacks: ["prompts"] },
} as const;

/** Line 8: sessions that cannot be replayed, and so are over. */
export async function loseSessions(
  start: StartGateway,
  kinds: readonly Way["kind"][] = KINDS,
): Promise<Sheet> {
  const sheet = new Sheet();
  const ways = (Object.keys(REASONS) as (keyof typeof REASONS)[]).flatMap((reason, i) =>
    kinds.flatMap((kind) =>
      FRONTS.map((front) => ({ reason, kind, front, server: `${kind}-by-${front}-${i}` })),
    ),
  );
  // A stdio server that refuses that has not started: the restart policy has it.
  const possible = ways.filter((way) => way.kind !== "stdio" || way.reason !== "no initialize");
  const plans = Object.assign(
    {},
    ...possible.map((way) =>
      planOf([way], way.reason === "stateful" ? { more: { stateful: true } } : {}),
    ),
  ) as ReturnType<typeof planOf>;
  const rig = await Rig.open(start, plans);
  try {
    await atMost(LANES, possible, (way) =>
      sheet.look(`${nameOf(way)}, ${way.reason}`, () => loseSession(rig, way, sheet)),
    );
  } finally {
    await rig.close();
  }
  return sheet;
}

async function loseSession(
  rig: Rig,
  way: Way & { reason: keyof typeof REASONS },
  sheet: Sheet,
): Promise<void> {
  const { server, front, reason } = way;
  const session = await rig.session(server, front);
  rig.notes(server).behave(REASONS[reason]);
  await rig.end(server);
  const note = (n: number) => ({ name: "note", arguments: { n } });
  // A stream may be closed before this call, which then gets 404, or after its error.
  const first = await session.ask(1, "tools/call", note(1)).then(
    ({ result }) => (result === undefined ? "no result" : "a result"),
    () => "no answer",
  );
  await until(() => !session.isListening, "the stream is closed", 5000).catch(() => undefined);
  const { status } = await session.post(
    JSON.stringify({ jsonrpc: "2.0", id: 2, method: "tools/call", params: note(2) }),
  );
  const stream = session.isListening ? "open" : "closed";
  const executed = rig.notes(server).calls().length;
  sheet.note(
    `${nameOf(way)}, ${reason}`,
    "no result, stream closed, then 404, 0 executed",
    `${first}, stream ${stream}, then ${status}, ${executed} executed`,
  );
  rig.notes(server).behave({});
  const next = await rig.session(server, front);
  const { result } = await next.ask(3, "tools/call", note(3));
  sheet.note(
    `${nameOf(way)}, ${reason}: who begins anew`,
    "a result",
    result === undefined ? "no result" : "a result",
  );
  session.close();
  next.close();
}
