import type { Left } from "../engines/engine.ts";
import type { InstanceContext, PodEngine } from "./instance-context.ts";
import { isOwnVariant } from "./instance-types.ts";
import type { Ref } from "./instance-types.ts";

/** So many at a time: whoever has a message waiting is not behind all others. */
const AT_ONCE = 8;

type Parts = Pick<InstanceContext, "secretNow" | "servers"> & { readonly pods: PodEngine };

/** Takes over what is as it would be started now, by `ensure`; returns how many of them are there. Never rejects. */
export async function takeLeft(
  left: readonly (Left & { readonly ref: Ref })[],
  parts: Parts,
  ensure: (ref: Ref) => Promise<void>,
): Promise<number> {
  const wanted = left.map(({ ref }) => ref).filter((ref) => isWanted(ref, parts));
  let taken = 0;
  const takeNext = async (): Promise<void> => {
    for (let ref = wanted.pop(); ref !== undefined; ref = wanted.pop())
      // What it fails at is in its state.
      await ensure(ref).then(
        () => taken++,
        () => {},
      );
  };
  await Promise.all(Array.from({ length: AT_ONCE }, takeNext));
  return taken;
}

/** Whether it is what would be started now, for a user who may have it. A session's own child goes with the link to it. */
function isWanted(ref: Ref, { pods, secretNow, servers }: Parts): boolean {
  if (isOwnVariant(ref.variant)) return false;
  const def = servers(ref.server, ref.user);
  if (def?.kind !== "child") return false;
  try {
    return pods.hasLeft({ ref, def, token: secretNow(ref, 0) });
  } catch {
    // The user is disabled or on the way out, or there is no token to be had.
    return false;
  }
}
