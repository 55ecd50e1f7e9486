import { fillTemplate } from "../config/template.ts";
import type { Endpoint } from "../engines/engine.ts";
import type { SupervisorError } from "../errors.ts";
import { CUT_MARK, LineWindow } from "../platform/line-window.ts";
import { eraOfVariant, isOwnVariant } from "./instance-types.ts";
import type { Target } from "../links/target.ts";
import type { Attempt, LaunchInput } from "./launch-types.ts";
import { untilReady } from "./readiness.ts";
import { untilAnswering } from "./stdio-readiness.ts";

/** How much of a line that is no message is kept for the admin. */
const FAULT_BYTES = 500;
/** More of them say nothing new. */
const MAX_FAULTS_PER_WINDOW = 100;
/** What a child is told that serves whoever comes: no more than every client that declares one of these can do. */
const OF_WHOEVER_COMES = '{"elicitation":{},"roots":{"listChanged":true},"sampling":{}}';

/** Waits until the child is ready, in the way of its transport. Rejects with what kept it from that. */
export async function untilTarget(
  attempt: Attempt,
  onBroken: (failure: SupervisorError) => void,
  onMissing: (missing: string) => void,
): Promise<{ target: Target; exposed: string[] }> {
  const { input, running, deadline, exit, broken, offers } = attempt;
  const { def, ref, version, resumeWindowMs } = input;
  const { endpoint, output } = running;
  const signal = AbortSignal.any([input.signal, deadline, exit, broken]);
  if (endpoint.kind === "port" && def.transport !== "stdio") {
    const { transport } = def;
    const { port, socketPath } = endpoint;
    const path = fillTemplate(def.path, { port, user: ref.user });
    const at = { running, port, socketPath, transport, path };
    const { url, exposed } = await untilReady({ ...at, signal, onMissing });
    const target = { transport, url, headers: {}, isRemote: false, socketPath, output };
    return { target, exposed };
  }
  const target = await untilAnswering({
    pipes: { ...pipesOf(endpoint), output, onFault: faultLog(input), onBroken },
    era: eraOfVariant(ref.variant),
    capabilities: def.sharing === "user" ? OF_WHOEVER_COMES : input.capabilities,
    isOwn: isOwnVariant(ref.variant),
    resumeWindowMs,
    version,
    offers,
    keepsake: running.keepsake,
    signal,
    onMissing,
  });
  return { target, exposed: [] };
}

function pipesOf(endpoint: Endpoint): Extract<Endpoint, { kind: "pipes" }> {
  if (endpoint.kind === "pipes") return endpoint;
  throw new TypeError(`a stdio child has a ${endpoint.kind} in place of pipes`);
}

/** Shows the admin what a child writes that is no message. */
function faultLog({ onLine }: LaunchInput): (what: string, line: Buffer | undefined) => void {
  const window = new LineWindow((text) => onLine("stdout", text), MAX_FAULTS_PER_WINDOW);
  return (what, line) => {
    if (!window.admits()) return;
    const text = line?.toString("utf8", 0, FAULT_BYTES) ?? "";
    const mark = line !== undefined && line.length > FAULT_BYTES ? CUT_MARK : "";
    onLine("stdout", `[the child wrote ${what}] ${text}${mark}`);
  };
}
