/** Room: systemd. What the daemon and the service manager have to say to each other: ready, status, watchdog, listeners handed over; and the unit that says how to run it. In: the environment. Out: messages. Knows no room above it. */
import { listenerNamed, takeListeners } from "./activation.ts";
import { Notifier } from "./notify.ts";
import { startWatchdog, takeWatchdogMs } from "./watchdog.ts";

/** What the daemon shows of itself while it serves. */
export interface Served {
  /** One line for `systemctl status`. */
  status: () => string;
  /** Whether the daemon does its work, shown within that time. */
  isHealthy: (withinMs: number) => Promise<boolean>;
}

const STATUS_EVERY_MS = 1000;

function takeGatewayListener(
  env: NodeJS.ProcessEnv,
  warn: (message: string) => void,
): number | undefined {
  const listeners = takeListeners(env);
  const fd = listenerNamed("gateway", listeners);
  const others = listeners.filter((listener) => listener.fd !== fd);
  if (others.length > 0)
    warn(
      `systemd handed over listeners that nothing here is for: ${others.map(({ name }) => name).join(", ")}; the gateway's has FileDescriptorName=gateway`,
    );
  return fd;
}

/** The service manager, as far as there is one: without `NOTIFY_SOCKET` nothing is sent. */
export class ServiceManager {
  /** The descriptor of the gateway's listener, where one was handed over. */
  readonly gatewayFd: number | undefined;
  readonly #notifier: Notifier | undefined;
  readonly #watchdogMs: number | undefined;
  readonly #warn: (message: string) => void;
  #served: Served | undefined;
  #shown = "";
  #stopAll: (() => void) | undefined;

  /** Takes what the service manager left in `env` out of it: neither children nor a second daemon may speak for this one. */
  constructor(env: NodeJS.ProcessEnv, warn: (message: string) => void) {
    this.gatewayFd = takeGatewayListener(env, warn);
    this.#watchdogMs = takeWatchdogMs(env);
    this.#warn = warn;
    const { NOTIFY_SOCKET: socket } = env;
    delete env["NOTIFY_SOCKET"];
    if (socket === undefined || !/^[/@]/.test(socket)) return;
    this.#notifier = new Notifier(socket, (why) =>
      warn(`systemd cannot be told how the daemon does: ${why}`),
    );
  }

  /** The daemon serves. From now on the status line follows it, and the watchdog is fed while it is healthy. */
  ready(served: Served): void {
    if (this.#notifier === undefined) return;
    const notifier = this.#notifier;
    this.#served = served;
    this.#shown = served.status();
    notifier.send("READY=1", `STATUS=${this.#shown}`);
    const ticker = setInterval(() => this.#follow(), STATUS_EVERY_MS);
    ticker.unref();
    const watchdog =
      this.#watchdogMs === undefined
        ? undefined
        : startWatchdog({
            limitMs: this.#watchdogMs,
            isHealthy: served.isHealthy,
            feed: () => notifier.send("WATCHDOG=1"),
            onSick: (why) => this.#warn(`the watchdog is not fed: ${why}`),
          });
    this.#stopAll = () => {
      clearInterval(ticker);
      watchdog?.stop();
    };
  }

  /** Tells that the config is read anew, and after it, whatever became of it, that the daemon serves. */
  async reloading(reload: () => Promise<void>): Promise<void> {
    // systemd tells an answer from an older one by the clock (sd_notify(3), MONOTONIC_USEC).
    const micros = process.hrtime.bigint() / 1000n;
    this.#notifier?.send("RELOADING=1", `MONOTONIC_USEC=${micros}`);
    try {
      await reload();
    } finally {
      this.#notifier?.send("READY=1");
    }
  }

  /** The end has begun; nothing is sent after it. */
  stopping(): void {
    this.#stopAll?.();
    this.#notifier?.send("STOPPING=1", "STATUS=stopping");
  }

  #follow(): void {
    const now = this.#served?.status() ?? "";
    if (now === this.#shown) return;
    this.#shown = now;
    this.#notifier?.send(`STATUS=${now}`);
  }
}
