import { fileURLToPath } from "node:url";
import { echoServer } from "../helpers/echo.ts";
import { until } from "../helpers/until.ts";
import { fromControl, heapOf, openNow, rssOf } from "./figures.ts";
import type { Child, Open, Watched } from "./figures.ts";
import { ABORTINGS, LEAVINGS, WAYS, abort, visit } from "./visits.ts";
import type { Door } from "./visits.ts";

const ECHO_STDIO = fileURLToPath(new URL("../../bench/echo-stdio.mjs", import.meta.url));
const TELLS_HEAP = new URL("tells-heap.ts", import.meta.url).href;

/** A server for each transport; the answer of the relayed one to a call is a stream where it can be. */
export const CHURN_CONFIG = {
  isolation: "none",
  defaultServer: "by-stdio",
  servers: {
    "by-sse": echoServer("sse"),
    "by-http": echoServer("http"),
    "by-stdio": { command: process.execPath, args: [ECHO_STDIO] },
  },
  limits: { streamsPerUser: 1_000 },
  // Clients over Streamable HTTP that are gone without a word are missed by nothing else.
  sessionTtl: "4s",
  log: { level: "error" },
};

/** What the daemon needs in its environment. */
export const churnEnv = (heapFile: string): Record<string, string> => ({
  NODE_OPTIONS: `--import ${TELLS_HEAP}`,
  HEAP_FILE: heapFile,
});

const AT_ONCE = 16;
const SETTLE_MS = 120_000;
/** What the engine and bounded records may still take after a warm-up of as many clients: no client leaves as much as one object. */
const HEAP_BYTES_PER_CLIENT = 64;
const HEAP_SLACK_BYTES = 1024 * 1024;

export interface Figure {
  what: string;
  before: number;
  after: number;
  isBack: boolean;
}

export interface ChurnOptions {
  /** Clients that connect and leave. */
  cycles: number;
  /** Streams that their clients abort. */
  aborts: number;
  onProgress?: (words: string) => void;
}

/**
 * Lets clients come and go over both fronts, by relay and by bridge, as often to warm up as to
 * measure, and tells of everything that may be left of them how much there was before and after.
 */
export async function churn(
  watched: Watched,
  door: Door,
  { cycles, aborts, onProgress = () => undefined }: ChurnOptions,
): Promise<Figure[]> {
  // One after the other, so that each child is there before many ask for it.
  for (const way of WAYS) await visit(door, way, "drop");
  const children = await childrenOf(watched);
  const crowd = async (): Promise<void> => {
    await inTurns(cycles, async (i) => {
      const way = WAYS[i % WAYS.length]!;
      await visit(door, way, LEAVINGS[Math.floor(i / WAYS.length) % LEAVINGS.length]!);
    });
    await inTurns(aborts, async (i) => {
      const way = WAYS[i % WAYS.length]!;
      await abort(door, way, ABORTINGS[Math.floor(i / WAYS.length) % ABORTINGS.length]!);
    });
  };
  await crowd();
  const before = await settled(watched, children, undefined);
  const [heapBefore, rssBefore] = [await heapOf(watched), rssOf(watched.pid)];
  onProgress("warm");
  await crowd();
  onProgress("done");
  const after = await settled(watched, children, before);
  const [heapAfter, rssAfter] = [await heapOf(watched), rssOf(watched.pid)];
  const heapBound = heapBefore + HEAP_SLACK_BYTES + HEAP_BYTES_PER_CLIENT * (cycles + aborts);
  const kib = (bytes: number): number => Math.round(bytes / 1024);
  return [
    ...Object.entries(before).map(([what, count]) => {
      const now = after[what] ?? 0;
      return { what, before: count, after: now, isBack: now <= count };
    }),
    {
      what: "KiB of heap",
      before: kib(heapBefore),
      after: kib(heapAfter),
      isBack: heapAfter <= heapBound,
    },
    { what: "KiB of memory", before: kib(rssBefore), after: kib(rssAfter), isBack: true },
  ];
}

async function childrenOf({ controlSocket }: Watched): Promise<Child[]> {
  const { instances } = JSON.parse(await fromControl(controlSocket, "/api/status")) as {
    instances: Child[];
  };
  return instances;
}

/** What is open once it is no more than before, or, without a before, once nobody is there; what it is at the deadline otherwise. */
async function settled(
  watched: Watched,
  children: readonly Child[],
  before: Open | undefined,
): Promise<Open> {
  let open: Open = {};
  const isQuiet = async (): Promise<boolean> => {
    open = await openNow(watched, children);
    if (before !== undefined)
      return Object.entries(open).every(([what, count]) => count <= before[what]!);
    return Object.entries(open).every(
      ([what, count]) => /^(files|sockets|instances)/.test(what) || count === 0,
    );
  };
  try {
    await until(isQuiet, "all of them are gone", SETTLE_MS);
  } catch (error) {
    if (before === undefined)
      throw new Error(`still open: ${JSON.stringify(open)}`, { cause: error });
  }
  return open;
}

async function inTurns(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}
