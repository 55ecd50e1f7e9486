import { KINDS } from "../helpers/notes-calls.ts";
import type { Kind } from "../helpers/notes-calls.ts";
import { FRONTS, Rig } from "./rig.ts";
import type { Front, Plan, StartGateway } from "./rig.ts";
import { Sheet, atMost } from "./sheet.ts";

const LANES = 4;
/** After so many there is nothing more to learn. */
const MOST_FAILURES = 3;

export interface Way {
  kind: Kind;
  front: Front;
  /** The server behind it, which is this way's alone. */
  server: string;
}

/** A server of every kind for each front. */
export const WAYS: readonly Way[] = KINDS.flatMap((kind) =>
  FRONTS.map((front) => ({ kind, front, server: `${kind}-by-${front}` })),
);

/** Of each kind one, by relay and by bridge. */
export const EACH_KIND = waysOf(
  "stdio by sse",
  "stdio-session by mcp",
  "sse by mcp",
  "http by mcp",
  "remote-sse by sse",
  "remote-http by sse",
);

/** Ways by their names, such as `stdio by sse`. */
export function waysOf(...names: string[]): Way[] {
  return WAYS.filter(({ kind, front }) => names.includes(`${kind} by ${front}`));
}

export const planOf = (ways: readonly Way[], options: Omit<Plan, "kind"> = {}) =>
  Object.fromEntries(ways.map(({ server, kind }) => [server, { kind, ...options }]));

/** Line 1: a session on every way, whose server is killed again and again. */
export async function killUnderSessions(
  start: StartGateway,
  kills: number,
  ways: readonly Way[] = WAYS,
): Promise<Sheet> {
  const sheet = new Sheet();
  const rig = await Rig.open(start, planOf(ways));
  try {
    await atMost(LANES, ways, (way) =>
      sheet.look(nameOf(way), () => killUnderSession(rig, way, kills, sheet)),
    );
  } finally {
    await rig.close();
  }
  return sheet;
}

export const nameOf = ({ kind, front }: Way): string => `${kind} by /${front}`;

async function killUnderSession(rig: Rig, way: Way, kills: number, sheet: Sheet): Promise<void> {
  const { server, front } = way;
  const session = await rig.session(server, front);
  const failures: string[] = [];
  let answered = 0;
  for (let n = 1; n <= kills && failures.length < MOST_FAILURES; n += 1) {
    // One whose call has failed has no child that could be killed.
    const isKilled = await rig.end(server).then(
      () => true,
      () => false,
    );
    if (!isKilled && failures.length > 0) break;
    const { result, error, status } = await session.ask(n, "tools/call", {
      name: "note",
      arguments: { n },
    });
    if (result !== undefined) answered += 1;
    else failures.push(`${status} ${error?.message}`);
  }
  const numbers = Array.from({ length: kills }, (_, i) => i + 1);
  const once = numbers.filter((n) => rig.notes(server).count(n) === 1).length;
  const stays = `${session.names.size} name, stream ${session.isListening ? "open" : "ended"}`;
  const words = (calls: number, times: number, is: string) =>
    `${calls} answered, ${times} executed once, ${is}`;
  const wanted = words(kills, kills, "1 name, stream open");
  const found = words(answered, once, stays);
  sheet.note(nameOf(way), wanted, failures.length > 0 ? `${found}; ${failures.join("; ")}` : found);
}
