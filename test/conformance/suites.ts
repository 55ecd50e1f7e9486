import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const program = (name: string) =>
  fileURLToPath(new URL(`../../node_modules/${name}/dist/index.js`, import.meta.url));
const STABLE = program("@modelcontextprotocol/conformance");
const NEXT = program("conformance-next");

/** One run of the official suite: the program, what to ask of it and what the fixture scores when asked directly. */
export interface Suite {
  name: string;
  program: string;
  args: string[];
  passed: number;
  failed: number;
  era: "legacy" | "modern";
}

/**
 * The 30 failures of 2026-07-28 are all in scenarios of the tasks extension, which the fixture does
 * not offer and the suite does not score: tasks-lifecycle (8), tasks-dispatch-and-envelope (6),
 * tasks-capability-negotiation (4), tasks-wire-fields (3), tasks-mrtr-input (3),
 * tasks-request-headers (3), tasks-request-state-removal (1), tasks-required-task-error (1) and
 * tasks-mrtr-composition (1).
 */
export const SUITES: readonly Suite[] = [
  {
    name: "0.1.16 --suite all",
    program: STABLE,
    args: ["--suite", "all"],
    passed: 44,
    failed: 0,
    era: "legacy",
  },
  {
    name: "0.2 --requirements 2025-11-25",
    program: NEXT,
    args: ["--requirements", "2025-11-25"],
    passed: 84,
    failed: 0,
    era: "legacy",
  },
  {
    name: "0.2 --requirements 2026-07-28",
    program: NEXT,
    args: ["--requirements", "2026-07-28", "--timeout", "15000"],
    passed: 164,
    failed: 30,
    era: "modern",
  },
];

/**
 * Checks of sessions (to 2025-11-25) that the suites do not make behind a bridge, whose answers are
 * plain JSON where nothing comes before them for a second, and have no event ids then: that streams side by side work is
 * counted of answers that are streams only, and priming, retry and resumption of servers that number
 * their events only, which children over stdio and SSE do not.
 */
const NOT_BRIDGED: ReadonlySet<string> = new Set([
  "server-server-sse-multiple-streams server-sse-streams-functional",
  "server-server-sse-polling server-sse-priming-event",
  "server-server-sse-polling server-sse-retry-field",
  "server-server-sse-polling server-sse-disconnect-resume",
]);

export interface Outcome {
  exitCode: number | null;
  passed: number;
  failed: number;
  /** The summary that the suite prints, line by line. */
  summary: string[];
  /** Every check with its verdict, `scenario check verdict`: what the summary counts, and the warnings that it does not. */
  checks: string[];
}

async function readChecks(folder: string): Promise<string[]> {
  const checks: string[] = [];
  for (const entry of await readdir(folder)) {
    // A folder is named after its scenario and the time of the run.
    const scenario = entry.replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, "");
    const file = await readFile(join(folder, entry, "checks.json"), "utf8");
    for (const { id, status } of JSON.parse(file) as { id: string; status: string }[]) {
      if (status !== "INFO") checks.push(`${scenario} ${id} ${status}`);
    }
  }
  return checks.toSorted();
}

/** Runs one suite against an MCP endpoint. Rejects if the suite breaks off before its summary. */
export async function runSuite(suite: Suite, url: string): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  try {
    const args = [suite.program, "server", "--url", url, ...suite.args, "-o", folder];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    const exit = new Promise<number | null>((resolve, reject) => {
      child.once("error", reject).once("close", resolve);
    });
    const [output, trouble] = await Promise.all([text(child.stdout), text(child.stderr)]);
    const exitCode = await exit;
    const at = output.indexOf("=== SUMMARY ===");
    const total = /^Total: (\d+) passed, (\d+) failed/m.exec(output);
    if (at < 0 || !total) throw new Error(`${suite.name}: no summary\n${output}\n${trouble}`);
    return {
      exitCode,
      passed: Number(total[1]),
      failed: Number(total[2]),
      summary: output.slice(at).trim().split("\n"),
      checks: await readChecks(folder),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** `lines` without those of `others`, each taken away as often as it is there. */
function without(lines: string[], others: string[]): string[] {
  const left = [...others];
  return lines.filter((line) => {
    const at = left.indexOf(line);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

/** The lines in which two runs differ, those of the first marked `-`, those of the second `+`. */
export function differences(direct: Outcome, other: Outcome): string[] {
  const lines: string[] = [];
  if (direct.exitCode !== other.exitCode)
    lines.push(`- exit code ${direct.exitCode}`, `+ exit code ${other.exitCode}`);
  for (const part of ["summary", "checks"] as const) {
    lines.push(
      ...without(direct[part], other[part]).map((line) => `- ${line}`),
      ...without(other[part], direct[part]).map((line) => `+ ${line}`),
    );
  }
  return lines;
}

/** The lines in which a run behind a bridge differs from the direct one, without what no bridge can have. */
export function bridgeDifferences(direct: Outcome, bridged: Outcome): string[] {
  const isBridged = (line: string) => !NOT_BRIDGED.has(line.replace(/^- | [A-Z]+$/g, ""));
  // What the summaries count is in the checks.
  return differences({ ...direct, summary: [] }, { ...bridged, summary: [] }).filter(isBridged);
}
