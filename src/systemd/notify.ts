import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/** Sends one message; false where it may succeed a little later. Rejects where it never will. */
type Channel = (message: string) => Promise<boolean>;

// The values of Linux; systemd runs nowhere else.
const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const DONTWAIT_NOSIGNAL = 0x4040;

/** `struct sockaddr_un`; a path that begins with @ is an abstract one, written with a zero byte. */
function addressOf(path: string): Buffer {
  const family = Buffer.from(new Uint8Array(new Uint16Array([AF_UNIX]).buffer));
  return Buffer.concat([family, Buffer.from(path.replace(/^@/, "\0"))]);
}

/** The socket itself, by way of libc: Node has no unix datagrams. Rejects where koffi is not installed. */
async function openSocket(path: string): Promise<Channel> {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  const socket = libc.func("int socket(int domain, int type, int protocol)");
  const sendto = libc.func(
    "long sendto(int fd, const uint8_t *data, size_t size, int flags, const uint8_t *address, uint32_t length)",
  );
  const fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0) as number;
  if (fd < 0) throw new Error(`no socket (errno ${koffi.errno()})`);
  const address = addressOf(path);
  // Never waits in the kernel: a service manager that is busy must not stop the event loop.
  return async (message) => {
    const data = Buffer.from(message);
    if (sendto(fd, data, data.length, DONTWAIT_NOSIGNAL, address, address.length) >= 0) return true;
    const errno = koffi.errno();
    if (errno === koffi.os.errno["EAGAIN"] || errno === koffi.os.errno["ENOBUFS"]) return false;
    throw new Error(`${path} refuses messages (errno ${errno})`);
  };
}

/** The program that comes with systemd. The unit must say `NotifyAccess=all`: the message comes from another process. */
function programChannel(path: string): Channel {
  const run = promisify(execFile);
  return async (message) => {
    const env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", NOTIFY_SOCKET: path };
    await run("systemd-notify", ["--", ...message.split("\n")], { env, timeout: 5000 });
    return true;
  };
}

/** Whether messages can go out of this very process, which is all that `NotifyAccess=main` lets through. */
export async function canNotifyItself(): Promise<boolean> {
  try {
    await import("koffi");
    return true;
  } catch {
    return false;
  }
}

const RETRY_MS = 100;
/** Where nobody has read for so long, the oldest news is worth the least. */
const MAX_WAITING = 32;

/** Messages to the service manager, in order (sd_notify(3)). What cannot be said is reported once; the daemon goes on. */
export class Notifier {
  readonly #path: string;
  readonly #onFailure: (why: string) => void;
  readonly #waiting: string[] = [];
  #channel: Channel | undefined;
  #isDraining = false;
  #hasFailed = false;

  constructor(path: string, onFailure: (why: string) => void) {
    this.#path = path;
    this.#onFailure = onFailure;
  }

  /** Lines of `VARIABLE=value`, as one message. Values must hold no line break. */
  send(...lines: readonly string[]): void {
    this.#waiting.push(lines.join("\n"));
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    if (!this.#isDraining) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    for (
      let message = this.#waiting.shift();
      message !== undefined;
      message = this.#waiting.shift()
    ) {
      try {
        this.#channel ??= await openSocket(this.#path).catch(() => programChannel(this.#path));
        while (!(await this.#channel(message))) await sleep(RETRY_MS, undefined, { ref: false });
      } catch (error) {
        if (!this.#hasFailed) this.#onFailure((error as Error).message);
        this.#hasFailed = true;
      }
    }
    this.#isDraining = false;
  }
}
