import { SupervisorError } from "../errors.ts";
import { outcomeOf } from "../mcp/outcome.ts";
import type { ReplayOutcome } from "../telemetry/survival.ts";
import type { Attachment } from "./attachment.ts";
import type { ServerSide, SessionMemory } from "./session-memory.ts";
import { serverSideIn } from "./session-memory.ts";

/**
 * Tells a new generation what the last one knew of the session: the client's own `initialize`,
 * `initialized`, log level, subscriptions. Their answers go to nobody.
 *
 * Rejects with SESSION_LOST where the session cannot go on there, because the server refuses it,
 * answers another protocol version, or lacks a capability that it had; and as `Link.post` does.
 */
export async function replay(at: Attachment, memory: SessionMemory): Promise<void> {
  const { initialize, serverSide, rootsChanged, level, subscriptions } = memory;
  if (initialize === undefined || serverSide === undefined) return;
  const answer = await at.repeat(initialize);
  if (outcomeOf(answer) === "error")
    throw new ReplayRefused(at, "refused", "refuses to begin the session anew");
  requireLike(at, serverSide, serverSideIn(answer));
  memory.greeting = answer;
  // The client may say so only now.
  const { initialized } = memory;
  if (initialized !== undefined) {
    at.isGreeted = true;
    await at.tell(initialized);
  }
  for (const request of [level, ...subscriptions.values()])
    if (request !== undefined) at.repeatUnheard(request);
  if (rootsChanged === undefined) return;
  memory.rootsChanged = undefined;
  await at.tell(rootsChanged);
}

function requireLike(at: Attachment, before: ServerSide, after: ServerSide | undefined): void {
  if (after === undefined)
    throw new ReplayRefused(at, "refused", "answers `initialize` without a version");
  if (after.version !== before.version)
    throw new ReplayRefused(at, "other-version", "speaks another version of MCP than before");
  const missing = missingIn(before.capabilities, after.capabilities);
  if (missing !== undefined)
    throw new ReplayRefused(at, "lacks-capability", `lacks a capability that it had: ${missing}`);
}

/** The first capability that was there and is not, sub-capabilities such as `resources.subscribe` among them. */
function missingIn(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): string | undefined {
  for (const [name, value] of Object.entries(before)) {
    if (value === false || value === null || value === undefined) continue;
    const now = after[name];
    if (now === undefined || now === null || now === false) return name;
    const isParted = typeof value === "object" && typeof now === "object" && !Array.isArray(value);
    const inner = isParted ? missingIn(value as Options, now as Options) : undefined;
    if (inner !== undefined) return `${name}.${inner}`;
  }
  return undefined;
}

type Options = Readonly<Record<string, unknown>>;

/** SESSION_LOST: the session cannot go on with the generation that came in the place of the last one. */
export class ReplayRefused extends SupervisorError {
  readonly outcome: ReplayOutcome;
  readonly why: string;

  constructor(at: Attachment, outcome: ReplayOutcome, why: string) {
    const { user, server } = at.live.ref;
    super(
      "SESSION_LOST",
      `${user}/${server}: the server was started anew and ${why}; connect again`,
    );
    this.outcome = outcome;
    this.why = why;
  }
}
