import type { Generations } from "./generations.ts";
import type { InstanceContext } from "./instance-context.ts";

/**
 * Gives a new token to what there is of an instance: what runs has it then, or what starts will take it
 * by itself. False where only another generation can have it.
 */
export function giveToken(
  { serving, current }: Pick<Generations, "serving" | "current">,
  isStarting: boolean,
  { secretNow }: Pick<InstanceContext, "secretNow">,
): boolean {
  if (isStarting) return serving === undefined && current?.hasTakenToken !== true;
  try {
    return serving?.takeTokenOfNow(secretNow) === true;
  } catch {
    // The next generation fails at the same, and says why.
    return false;
  }
}
