import type { Socket } from "node:net";
import { descriptorOf } from "../platform/node-inside.ts";

// The values of Linux.
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** `struct ucred`: pid, uid, gid. */
const UCRED_BYTES = 12;
const UID_AT = 4;

type Ask = (fd: number) => number | undefined;

let asking: Promise<Ask | undefined> | undefined;

/** Node does not tell who is at the other end of a unix socket, so libc is asked, where koffi is installed. */
async function loadGetsockopt(): Promise<Ask | undefined> {
  try {
    const { default: koffi } = await import("koffi");
    const getsockopt = koffi
      .load(null)
      .func(
        "int getsockopt(int fd, int level, int name, _Inout_ uint8_t *value, _Inout_ uint32_t *length)",
      );
    return (fd) => {
      const credentials = Buffer.alloc(UCRED_BYTES);
      const length = [UCRED_BYTES];
      const answer = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) as number;
      return answer === 0 ? credentials.readUInt32LE(UID_AT) : undefined;
    };
  } catch {
    return undefined;
  }
}

/** The account that opened the other end of a unix socket, as the kernel saw it; undefined where that cannot be asked. */
export async function peerUid(socket: Socket): Promise<number | undefined> {
  const fd = descriptorOf(socket);
  if (fd === undefined) return undefined;
  asking ??= loadGetsockopt();
  return (await asking)?.(fd);
}
