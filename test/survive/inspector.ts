import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { endWithUs } from "../helpers/end-with-us.ts";
import { until } from "../helpers/until.ts";
import { FAULTS } from "./faults.ts";
import type { Fault, Stand } from "./faults.ts";
import { openStands } from "./own-stands.ts";
import { FRONTS } from "./rig.ts";
import type { Front, StartGateway } from "./rig.ts";
import { Sheet } from "./sheet.ts";

const INSPECTOR = fileURLToPath(new URL("../../node_modules/.bin/mcp-inspector", import.meta.url));
/**
 * How often it calls, how many calls there are for each fault, and after how many of them it comes. Its load ends
 * by their number, so there are enough for the time that a fault takes on a busy machine. A child that is killed has
 * answered something before, and an idle one is to be stopped before the next call.
 */
const PACE: Record<Fault, { perSecond: number; each: number; after: number }> = {
  killed: { perSecond: 20, each: 6, after: 3 },
  replaced: { perSecond: 20, each: 40, after: 1 },
  idle: { perSecond: 1, each: 3, after: 1 },
};

/** What its load test says at its end. */
interface Summary {
  requests: number;
  ok: number;
  toolErrors: number;
  errors: number;
  errorMessages: { message: string }[];
}

/** The Inspector's load test, which keeps one session: calls of a tool that only reads, under so many faults. */
async function load(
  stand: Stand,
  front: Front,
  fault: Fault,
  rounds: number,
): Promise<{ summary: Summary; faults: number }> {
  const storage = await mkdtemp(join(tmpdir(), "inspector-"));
  const { perSecond, each, after } = PACE[fault];
  const requests = each * (rounds + 1);
  const headers = Object.entries(stand.door.headers).flatMap(([name, value]) => [
    "--header",
    `${name}: ${value}`,
  ]);
  const words = [
    "--cli --method tools/call --tool-name read --load --load-concurrency 1",
    `--server-url ${stand.door.url(front)} --transport ${front === "sse" ? "sse" : "http"}`,
    `--load-requests ${requests} --load-rate ${perSecond}`,
    "--format json -q --stored-auth-only",
  ].flatMap((some) => some.split(" "));
  const args = [INSPECTOR, ...words, "--tool-args-json", JSON.stringify({ ms: 50 }), ...headers];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HOME: storage, MCP_STORAGE_DIR: storage },
  });
  endWithUs(child);
  const ended = once(child, "close");
  const said = Promise.all([text(child.stdout), text(child.stderr)]);
  const before = stand.notes.calls().length;
  const calls = () => stand.notes.calls().length - before;
  let faults = 0;
  for (let seen = calls(); faults < rounds; faults += 1) {
    const isOver = () => child.exitCode !== null;
    await until(() => isOver() || calls() >= seen + after, "it calls", 60_000);
    if (isOver()) break;
    await stand.faults[fault]!();
    seen = calls();
  }
  await ended;
  await rm(storage, { recursive: true, force: true });
  const [output, trouble] = await said;
  if (output === "") throw new Error(trouble);
  const told = JSON.parse(output) as { result?: Summary } & Summary;
  return { summary: told.result ?? told, faults };
}

/** Line 9, for the Inspector: reads that are sent again where they were under way. */
export async function rideWithInspector(start: StartGateway, rounds: number): Promise<Sheet> {
  const sheet = new Sheet();
  const kinds = ["stdio", "http"] as const;
  await Promise.all(
    kinds.map((kind) =>
      sheet.look(kind, async () => {
        const { stands, rig } = await openStands(start, kind, { resend: "annotated" });
        try {
          for (const front of FRONTS)
            for (const stand of stands)
              for (const fault of FAULTS.filter((one) => stand.faults[one] !== undefined)) {
                const { summary, faults } = await load(stand, front, fault, rounds);
                const { requests, ok, errorMessages } = summary;
                const why = errorMessages.map(({ message }) => message).join("; ");
                sheet.note(
                  `Inspector by /${front} at ${kind}, ${faults} times ${fault}`,
                  `${requests} of ${requests} reads answered`,
                  `${ok} of ${requests} reads answered${why === "" ? "" : `; ${why}`}`,
                );
              }
        } finally {
          await rig.close();
        }
      }),
    ),
  );
  return sheet;
}
