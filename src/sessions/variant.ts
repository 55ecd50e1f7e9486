import type { ServerDef } from "../config/config.ts";
import { ownVariant } from "../instances/supervisor.ts";

/** Which of a user's children of the server serves a session whose client declares this. */
export function variantFor(
  { transport, sharing }: ServerDef,
  capabilities: string,
  mayBeAsked: boolean,
): string {
  if (transport !== "stdio" || sharing === "user") return "";
  if (sharing === "session" || mayBeAsked) return ownVariant();
  return capabilities === "{}" ? "" : capabilities;
}
