import { isPodServer } from "../config/child-servers.ts";
import type { EraProbeOptions } from "./era-probe.ts";
import { engineOf, schedulerOf } from "./instance-context.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { StartEnd } from "./start-slots.ts";

/** The number of a throw-away child among the generations of its instance: none. */
const PROBE = 0;

/** How throw-away children are started: once it is their turn, and on this machine with the user's token; a pod has none to lose. */
export function preparerOf(
  context: InstanceContext,
  signal: AbortSignal,
): EraProbeOptions["prepare"] {
  const { config, version, versions, engines, events, secretsFor } = context;
  return async (ref, def) => {
    const token = isPodServer(def) ? undefined : await secretsFor(ref, PROBE, signal);
    const free = await schedulerOf(context, def).take(ref, signal);
    const endTurn = (end: StartEnd): void => {
      free(end);
      events.emit("state", { ref, generation: PROBE, state: "gone" });
    };
    const { resumeWindowMs } = config;
    const settings = { version, versions, resumeWindowMs, startTimeoutMs: def.startTimeoutMs };
    const own = { generation: PROBE, def, token };
    return { input: { ...settings, ...own, engine: engineOf(engines, def), signal }, endTurn };
  };
}
