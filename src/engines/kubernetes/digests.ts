import type { PodServer } from "../../config/child-servers.ts";
import { runAs } from "../../config/compare.ts";
import type { Digests } from "../../vault/digest.ts";

/** What tells whether a pod of an earlier daemon is what would be started now. */
export interface PodDigests {
  readonly recipe: string;
  readonly token: string | null;
}

/** Keyed: to who has the database alone they say nothing of the token. */
export const digestsOf = (
  digests: Pick<Digests, "of">,
  def: PodServer,
  token: string | undefined,
): PodDigests => ({
  recipe: digests.of("pod", JSON.stringify(runAs(def))),
  token: token === undefined ? null : digests.of("token of a pod", token),
});
