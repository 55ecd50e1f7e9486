import { setTimeout as delay } from "node:timers/promises";
import type { Kind } from "../helpers/notes-calls.ts";
import { until } from "../helpers/until.ts";
import { Load } from "./load.ts";
import { Rig } from "./rig.ts";
import type { Front, Plan, StartGateway } from "./rig.ts";
import { Sheet } from "./sheet.ts";

const PER_SECOND = 50;
/** So that some are under way at each change. */
const CALL_MS = 60;

/** How a token reaches the server, and the front of the session that calls it. */
interface Way {
  kind: Kind;
  front: Front;
  /** It comes by header or file, and what serves goes on. */
  staysUp: boolean;
  args?: readonly string[];
  more?: Record<string, unknown>;
}

const byHeader = { headers: { Authorization: "Bearer ${token}" } };

const WAYS = {
  stdio: { kind: "stdio", front: "mcp", staysUp: false },
  sse: { kind: "sse", front: "sse", staysUp: false },
  // What is 404 to a stranger is taken as ready a second later only.
  http: { kind: "http", front: "mcp", staysUp: false, args: ["--forgotten", "400"] },
  "remote-sse": { kind: "remote-sse", front: "sse", staysUp: true, more: byHeader },
  "remote-http": { kind: "remote-http", front: "mcp", staysUp: true, more: byHeader },
  "token-file": { kind: "stdio", front: "sse", staysUp: true, more: { tokenFile: true } },
} satisfies Record<string, Way>;
export type WayName = keyof typeof WAYS;

export interface RotationOptions {
  ways?: readonly WayName[];
  /** Of each way. */
  rotations: number;
}

/** Line 11: tokens that users replace again and again, while they call. */
export async function rotateUnderLoad(
  start: StartGateway,
  { ways = Object.keys(WAYS) as WayName[], rotations }: RotationOptions,
): Promise<Sheet> {
  const sheet = new Sheet();
  const plans = ways.map((name): [string, Plan] => {
    const { kind, args = [], more = {} }: Way = WAYS[name];
    return [serverOf(name), { kind, args, more }];
  });
  const rig = await Rig.open(start, Object.fromEntries(plans), { selfService: true });
  try {
    await Promise.all(
      ways.map((name) => sheet.look(name, () => rotate(rig, name, rotations, sheet))),
    );
  } finally {
    await rig.close();
  }
  return sheet;
}

/** A token that was asked for, and since when it is in force. */
interface Rotation {
  orderedAt: number;
  inForceAt: number;
}

/** Some of the names mean something in a URL. */
const serverOf = (name: WayName): string => `by-${name}`;
const tokenOf = (name: WayName, index: number): string => `token-${index}-of-${name}`;
const indexOf = (token: string | null): number => Number(/^token-(\d+)-of-/.exec(token ?? "")?.[1]);

async function rotate(rig: Rig, name: WayName, rotations: number, sheet: Sheet): Promise<void> {
  const done: Rotation[] = [];
  const next = async (): Promise<void> => {
    const orderedAt = performance.now();
    await rig.putOwnToken(serverOf(name), tokenOf(name, done.length));
    done.push({ orderedAt, inForceAt: performance.now() });
  };
  await next();
  const session = await rig.session(serverOf(name), WAYS[name].front);
  const load = new Load([session], PER_SECOND, CALL_MS);
  try {
    await until(() => load.calls.length > 0, "the load has begun");
    for (let i = 0; i < rotations; i += 1) {
      await next();
      // A few calls of its own, and some that are under way when the one after it comes.
      await delay((2 + Math.random()) * (1000 / PER_SECOND));
    }
  } finally {
    await load.stop();
  }
  judge(name, load, done, sheet);
}

function judge(name: WayName, load: Load, done: readonly Rotation[], sheet: Sheet): void {
  const { calls, failures } = load;
  const of = calls.length;
  const answered = calls.filter(({ failure }) => failure === undefined);
  const failed = [`${failures.length} of ${of}`, ...failures.slice(0, 1)].join("; ");
  sheet.note(`${name}: calls that failed`, `0 of ${of}`, failed);
  const late = answered.filter(({ token, sentAt }) => {
    const inForce = done.findLastIndex(({ inForceAt }) => inForceAt <= sentAt);
    return !(indexOf(token) >= inForce);
  });
  sheet.note(`${name}: calls begun after the answer with an older token`, 0, late.length);
  const early = answered.filter(({ token, endedAt }) => {
    const ordered = done.findLastIndex(({ orderedAt }) => orderedAt <= endedAt);
    return indexOf(token) > ordered;
  });
  sheet.note(`${name}: calls with a token that nobody had ordered yet`, 0, early.length);
  const tokens = new Set(answered.map(({ token }) => token)).size;
  const wanted = `${done.length}, at most one of them missed`;
  sheet.note(
    `${name}: tokens that calls were made with`,
    wanted,
    tokens,
    tokens >= done.length - 1,
  );
  const pids = new Set(answered.map(({ pid }) => pid)).size;
  if (WAYS[name].staysUp) sheet.note(`${name}: processes that have served`, 1, pids);
  else
    sheet.note(`${name}: processes that have served`, "one for each token", pids, pids === tokens);
}
