import { hash } from "node:crypto";
import type { Ref } from "../engine.ts";
import type { Pod } from "./api/objects.ts";

const PREFIX = "mcp-supervisor/";

/** By these the cluster's policies choose pods, and this daemon its own. */
export const LABELS = {
  /** Whose it is: pods of other installations in the namespace are never touched. */
  installation: `${PREFIX}installation`,
  /** `child`, or `trial` for those that are to show what the cluster does. */
  role: `${PREFIX}role`,
  /** The server's `network`: `none` or `full`. */
  network: `${PREFIX}network`,
  /** The server's name, for policies of the admin's own. */
  server: `${PREFIX}server`,
} as const;

/** Whose child it is, in words: a name in the config may be longer than that of a pod. */
export const ANNOTATIONS = {
  user: `${PREFIX}user`,
  server: `${PREFIX}server`,
  variant: `${PREFIX}variant`,
  generation: `${PREFIX}generation`,
  /** In ms: when its shim ends all that it has not heard of. */
  orphanTimeout: `${PREFIX}orphan-timeout`,
} as const;

const HASH_LENGTH = 20;

/** Of one generation of one instance of one installation; no two of those have the same. */
export function podName(installation: string, { user, server, variant }: Ref, generation: number) {
  const whose = JSON.stringify([installation, user, server, variant]);
  return `mcps-${hash("sha256", whose, "hex").slice(0, HASH_LENGTH)}-g${generation}`;
}

/** The volume that holds the homes of a user's children of one server; all generations have the same. */
export function homeName(installation: string, { user, server }: Pick<Ref, "user" | "server">) {
  const whose = JSON.stringify([installation, user, server]);
  return `mcps-home-${hash("sha256", whose, "hex").slice(0, HASH_LENGTH)}`;
}

/** All of this installation. */
export const selectorOf = (installation: string): string =>
  `${LABELS.installation}=${installation},${LABELS.role}=child`;

/** Where it runs, in words for the log and for an admin: `node/pod`. */
export const placeOf = ({ metadata, spec }: Pod): string =>
  placeText(metadata.name, spec?.nodeName ?? null);

export const placeText = (name: string, node: string | null): string => `${node ?? "?"}/${name}`;
