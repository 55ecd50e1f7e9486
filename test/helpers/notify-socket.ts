import { closeSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder } from "./store.ts";

export interface NotifySocket {
  path: string;
  /** Every message so far, oldest first. */
  messages: () => string[];
}

/** What a service manager listens on: a unix datagram socket, here of this process. Undefined where koffi is not installed. */
export async function openNotifySocket(t: TestContext): Promise<NotifySocket | undefined> {
  const koffi = (await import("koffi").catch(() => undefined))?.default;
  if (koffi === undefined) return undefined;
  const libc = koffi.load(null);
  const socket = libc.func("int socket(int, int, int)");
  const bind = libc.func("int bind(int, const uint8_t *, uint32_t)");
  const recv = libc.func("long recv(int, _Out_ uint8_t *, size_t, int)");
  const path = join(temporaryFolder(t), "notify");
  const fd = socket(1, 0o2000002, 0) as number;
  t.after(() => closeSync(fd));
  const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(`${path}\0`)]);
  if (bind(fd, address, address.length) !== 0) throw new Error(`bind: errno ${koffi.errno()}`);
  const seen: string[] = [];
  const buffer = Buffer.alloc(4096);
  return {
    path,
    messages: () => {
      for (;;) {
        const length = recv(fd, buffer, buffer.length, 0x40) as number;
        if (length < 0) return [...seen];
        seen.push(buffer.toString("utf8", 0, length));
      }
    },
  };
}
