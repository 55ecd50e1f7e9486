import { isReshaped } from "../config/compare.ts";
import type { Generation } from "./generation.ts";
import { engineOf } from "./instance-context.ts";
import type { InstanceContext } from "./instance-context.ts";

/**
 * Whether the next generation may run beside the one that serves, and there is a place for it, which it
 * has then.
 */
export async function fitsBeside(
  { engines, admitBeside }: InstanceContext,
  next: Generation,
  serving: Generation,
): Promise<boolean> {
  const { state, def: before } = serving;
  const { def } = next;
  if (state.name !== "ready" || !def.overlap || isReshaped(before, def)) return false;
  if (def.kind !== "child" || before.kind !== "child") return true;
  const { endpoint } = state.running;
  // There is no second one of that port, and no home for two levels.
  if (endpoint.kind === "port" && endpoint.isPinned) return false;
  const [engine, earlier] = [engineOf(engines, def), engineOf(engines, before)];
  if (engine !== earlier || engine.levelOf(before) !== engine.levelOf(def)) return false;
  return await admitBeside(next, serving);
}
