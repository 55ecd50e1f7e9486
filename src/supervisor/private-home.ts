import { createHash } from "node:crypto";
import { chmod, mkdir, rm } from "node:fs/promises";
import path from "node:path";
import type { Ref } from "./instance-types.ts";

export interface PrivateHome {
  home: string;
  tmp: string;
}

/** Below `dataDir`; everything of one user is in one folder, so that removing the user can remove it. */
export function userHome(dataDir: string, user: string): string {
  return path.join(dataDir, "homes", user);
}

/** The instance's own HOME, kept between starts, and its TMPDIR, emptied at each; both 0700. */
export async function preparePrivateHome(dataDir: string, ref: Ref): Promise<PrivateHome> {
  const { user, server, variant } = ref;
  // A variant is free text. The dot keeps its folder apart from those of all servers, whose names have none.
  const hash = createHash("sha256").update(variant).digest("hex").slice(0, 16);
  const home = path.join(userHome(dataDir, user), variant === "" ? server : `${server}.${hash}`);
  await mkdir(home, { recursive: true, mode: 0o700 });
  // A folder that was there before may have any mode.
  await chmod(home, 0o700);
  const tmp = path.join(home, "tmp");
  // The child owns its home and may have put a link here: rm takes the link, not what it points to.
  await rm(tmp, { recursive: true, force: true });
  await mkdir(tmp, { mode: 0o700 });
  return { home, tmp };
}
