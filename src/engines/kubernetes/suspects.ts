import type { PodRow } from "../../store/pods.ts";
import type { Ref } from "../engine.ts";
import type { Pod } from "./api/objects.ts";
import type { Suspect } from "./fence.ts";
import { ANNOTATIONS } from "./names.ts";

/** Of a Pod that does not say it. */
const USUAL_ORPHAN_MS = 60_000;

export const refOf = ({ user, server, variant }: PodRow): Ref => ({ user, server, variant });

export const isOf = (row: PodRow, { user, server, variant }: Ref): boolean =>
  row.user === user && row.server === server && row.variant === variant;

export const suspectOf = (row: PodRow, lastSentAt: number): Suspect => ({
  name: row.name,
  ref: refOf(row),
  orphanTimeoutMs: row.orphanTimeoutMs,
  memoryLimit: undefined,
  lastSentAt,
});

/** The suspect that a Pod without a row is: what it is comes from its own annotations. */
export function strangerOf({ metadata }: Pod, lastSentAt: number): Suspect {
  const noted = (name: string): string => metadata.annotations?.[name] ?? "";
  const ref = {
    user: noted(ANNOTATIONS.user),
    server: noted(ANNOTATIONS.server),
    variant: noted(ANNOTATIONS.variant),
  };
  const orphanTimeoutMs = Number(noted(ANNOTATIONS.orphanTimeout)) || USUAL_ORPHAN_MS;
  return { name: metadata.name, ref, orphanTimeoutMs, memoryLimit: undefined, lastSentAt };
}
