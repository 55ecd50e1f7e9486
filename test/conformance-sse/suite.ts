import { type Check, type Scenario, Skip, Visit } from "./check.ts";
import { asking } from "./scenarios/asking.ts";
import { lifecycle } from "./scenarios/lifecycle.ts";
import { messages } from "./scenarios/messages.ts";
import { prompting, resourcing } from "./scenarios/offers.ts";
import { posts } from "./scenarios/posts.ts";
import { sessions } from "./scenarios/sessions.ts";
import { stream } from "./scenarios/stream.ts";
import { calling, tools } from "./scenarios/tools.ts";
import { utilities } from "./scenarios/utilities.ts";
import { Session } from "./session.ts";
import { type Survey, survey } from "./survey.ts";
import type { Target } from "./wire.ts";

export const SCENARIOS: readonly Scenario[] = [
  stream,
  posts,
  sessions,
  lifecycle,
  messages,
  tools,
  calling,
  utilities,
  resourcing,
  prompting,
  asking,
];

/** A server behind a gateway is started by the first message, and may take its time. */
const START_TIMEOUT_MS = 30_000;

/** Scenarios under way at the same time: most of a run is waiting, but a server may limit its streams. */
const LANES = 4;

export interface Result extends Pick<Check, "id" | "section" | "says"> {
  scenario: string;
  verdict: "pass" | "fail" | "skip";
  /** Why it failed or was skipped. */
  reason?: string;
}

export interface Options {
  headers?: Readonly<Record<string, string>>;
  timeoutMs?: number;
  /** Also the checks that take long. */
  isSlow?: boolean;
  /** Ids of the checks or scenarios to make; all of them unless given. */
  only?: readonly string[];
}

async function lookAround(target: Target): Promise<Survey> {
  const patient = { ...target, timeoutMs: Math.max(target.timeoutMs, START_TIMEOUT_MS) };
  const session = await Session.open(patient);
  try {
    return await survey(session);
  } finally {
    session.close();
  }
}

const inOneLine = (error: unknown): string =>
  ((error as Error).message || String(error)).replaceAll(/\s+/g, " ").trim().slice(0, 300);

async function make(check: Check, visit: Visit): Promise<Pick<Result, "verdict" | "reason">> {
  try {
    await check.run(visit);
    return { verdict: "pass" };
  } catch (error) {
    return { verdict: error instanceof Skip ? "skip" : "fail", reason: inOneLine(error) };
  } finally {
    visit.close();
  }
}

/** What one scenario's checks brought. */
async function play(scenario: Scenario, checks: Check[], visit: () => Visit | string) {
  const results: Result[] = [];
  for (const check of checks) {
    const { id, section, says } = check;
    const visitor = visit();
    const outcome =
      typeof visitor === "string"
        ? { verdict: "fail" as const, reason: `no session could be had: ${visitor}` }
        : await make(check, visitor);
    results.push({ scenario: scenario.id, id, section, says, ...outcome });
  }
  return results;
}

/**
 * Makes the checks, those of a scenario one after the other, and resolves with a result for each in
 * the order of the list. A server with which no session can be had at all fails every check for that
 * reason, except those of the stream itself, which are made.
 */
export async function runChecks(url: URL, options: Options = {}): Promise<Result[]> {
  const { headers = {}, timeoutMs = 5_000, isSlow = false, only } = options;
  const target: Target = { url, headers, timeoutMs };
  const found = await lookAround(target).catch((error: unknown) => inOneLine(error));
  const visitFor = (scenario: Scenario) => () => {
    if (typeof found !== "string") return new Visit(target, found);
    return scenario === stream ? new Visit(target, { capabilities: {}, tools: [] }) : found;
  };
  const isWanted = (scenario: Scenario, check: Check) =>
    (isSlow || !check.isSlow) && (!only || only.includes(check.id) || only.includes(scenario.id));

  const results: Result[][] = [];
  const waiting = [...SCENARIOS.entries()];
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [at, scenario] = next;
      const checks = scenario.checks.filter((check) => isWanted(scenario, check));
      results[at] = await play(scenario, checks, visitFor(scenario));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return results.flat();
}
