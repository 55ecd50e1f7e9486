import { bubblewrapGaps } from "./bubblewrap-options.ts";
import type { Gap } from "./confinement.ts";
import { guardGaps } from "./guard.ts";
import { isRoot } from "./levels.ts";
import type { Machine } from "./levels.ts";

/** What children of this process lack of what stands around them elsewhere. */
export function confinementGaps({ sandbox }: Machine): Gap[] {
  const areSandboxes = sandbox.length === 0;
  return [...guardGaps(), ...(areSandboxes ? bubblewrapGaps(isRoot()) : [])];
}
