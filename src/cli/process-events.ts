import type { Logger } from "../telemetry/logger.ts";

/** What a process that serves must be able to end. */
export interface Endable {
  /** Ends everything in order; resolves when no child, listener or lock is left. */
  close(): Promise<void>;
  /** SIGKILL to every child, without waiting. */
  killChildren(): void;
}

export interface ProcessEvents {
  /** From now on an end at once ends the children of this, too. */
  hold(served: Endable): void;
  /** From now on SIGHUP does this, and does not end the process. A failure of it is logged. */
  onHangup(work: () => Promise<void>): void;
  /** Resolves with the exit code once a signal or a failure asks for the end. */
  readonly asked: Promise<0 | 1>;
  /** Closes what is held, and sees to it that the process ends then. */
  close(): Promise<void>;
}

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
/** For an end after a failure: whatever still hangs then is hung for good. */
const CLOSE_AFTER_FAILURE_MS = 15_000;
/** After a clean end nothing keeps the process; a handle that does is a mistake worth a line. */
const LINGER_MS = 1_000;

/**
 * Takes over signals and failures of this process. Call it before anything is started: an end that
 * is asked for while things open is remembered in `asked`.
 *
 * The first signal ends gracefully, the second at once. A failure that nobody caught is fatal: the
 * state behind it is unknown, and a fresh start is the only known one.
 */
export function superviseProcess(log: Logger): ProcessEvents {
  let serving: Endable | undefined;
  let end: (code: 0 | 1) => void;
  const asked = new Promise<0 | 1>((resolve) => {
    end = resolve;
  });
  let isEnding = false;
  // Whoever read what is printed may go (`| head`); children must not be left for that.
  for (const stream of [process.stdout, process.stderr])
    stream.removeAllListeners("error").on("error", () => undefined);

  let hangup: (() => Promise<void>) | undefined;
  const force = (): never => {
    serving?.killChildren();
    process.exit(1);
  };
  for (const name of SIGNALS) {
    process.on(name, (signal) => {
      if (signal === "SIGHUP" && hangup !== undefined) {
        if (!isEnding)
          hangup().catch((error: unknown) => log.error({ err: error }, "the reload failed"));
        return;
      }
      if (isEnding) force();
      isEnding = true;
      log.info({ signal }, "stopping");
      end(0);
    });
  }
  const fail = (failure: unknown): void => {
    log.fatal({ err: failure }, "an unexpected failure; the daemon ends");
    if (serving === undefined || isEnding) force();
    isEnding = true;
    setTimeout(force, CLOSE_AFTER_FAILURE_MS).unref();
    end(1);
  };
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);

  return {
    asked,
    hold: (served) => {
      serving = served;
    },
    onHangup: (work) => {
      hangup = work;
    },
    close: async () => {
      await serving?.close();
      setTimeout(() => {
        log.warn(
          { handles: process.getActiveResourcesInfo() },
          "the process does not end by itself: something in it is still open",
        );
        process.exit();
      }, LINGER_MS).unref();
    },
  };
}
