import { chmodSync, chownSync, lstatSync, readFileSync, unlinkSync } from "node:fs";
import type { Server } from "node:http";
import { connect } from "node:net";
import { SupervisorError } from "../errors.ts";
import { listen } from "../http/listen.ts";

const socketRefused = (message: string, cause?: unknown): SupervisorError =>
  new SupervisorError("LISTEN_FAILED", message, { cause });

async function isAnswered(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Takes away the socket that a killed daemon left; anything else at that path stays and is an error. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw socketRefused(`${path} is in the way: it is no socket`);
  // The lock on the data folder does not cover a controlSocket that two configs share.
  if (await isAnswered(path)) throw socketRefused(`another program listens on ${path}`);
  unlinkSync(path);
}

/** The number of a group of this machine; Node has no call for it. */
function groupId(name: string): number {
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${name}:`));
  const id = Number(line?.split(":")[2]);
  if (line === undefined || Number.isNaN(id)) {
    throw new SupervisorError("CONFIG_INVALID", "the control group is unknown", {
      details: [`controlGroup: there is no group ${name} on this machine`],
    });
  }
  return id;
}

export interface SocketOptions {
  path: string;
  /** Members of this group may be admins too. */
  group: string | null;
}

/**
 * Listens on a unix socket that only this account, and the group if there is one, can open.
 *
 * Call it only while the lock on the data folder is held. Rejects with LISTEN_FAILED, or with
 * CONFIG_INVALID for an unknown group.
 */
export async function listenOnSocket(
  server: Server,
  { path, group }: SocketOptions,
): Promise<void> {
  const gid = group === null ? undefined : groupId(group);
  await removeStale(path);
  // Between bind and chmod the socket has the mode that the umask leaves, so it must leave none to
  // others. Binding happens within this call, so nothing else of the daemon sees the umask.
  const before = process.umask(0o177);
  let listening: Promise<number>;
  try {
    listening = listen(server, { path });
  } finally {
    process.umask(before);
  }
  await listening;
  if (gid === undefined) return;
  try {
    chownSync(path, -1, gid);
    chmodSync(path, 0o660);
  } catch (cause) {
    throw socketRefused(`cannot hand ${path} to the control group`, cause);
  }
}
