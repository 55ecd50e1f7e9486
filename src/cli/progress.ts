import type { Command } from "commander";
import { globalsOf } from "./output.ts";
import { cutTo } from "./view.ts";

export interface Waiting {
  /** What is under way: `starting alice/gmail`. */
  readonly doing: string;
  /** How far it is, asked now and then; what fails is not told twice. */
  readonly ask?: () => Promise<string>;
  /** What is true after Ctrl-C, and what shows it. */
  readonly afterInterrupt: string;
  /** What has to be done between Ctrl-C and the end of this process. */
  readonly cleanUp?: () => Promise<void>;
}

/** As a shell has it for a process that SIGINT ended. */
const INTERRUPTED = 130;
const FRAMES = ["|", "/", "-", "\\"];
const FRAME_MS = 200;
const ASK_MS = 1_000;
/** Who reads a file or a pipe is not told of what is quick. */
const PLAIN_MS = 5_000;
/** Of a terminal that does not say how wide it is. */
const USUAL_WIDTH = 80;
const end = (): never => process.exit(INTERRUPTED);
const CLEAR_LINE = "\r\u001b[K";

/**
 * Waits for the work, and says on stderr that it goes on: in one line that moves on a terminal, in a
 * line now and then elsewhere, not at all with `--json`. Nothing of the moving line is left at the
 * end, and Ctrl-C says how things stand.
 */
export async function whileWaiting<T>(
  command: Command,
  waiting: Waiting,
  work: Promise<T>,
): Promise<T> {
  if (globalsOf(command).json) return await work;
  const { isTTY } = process.stderr;
  const startedAt = performance.now();
  const state = { more: "", isAsking: false, frame: 0 };
  const ask = (): void => {
    if (waiting.ask === undefined || state.isAsking) return;
    state.isAsking = true;
    waiting
      .ask()
      .then((more) => (state.more = more))
      .catch(() => undefined)
      .finally(() => (state.isAsking = false));
  };
  const show = (): void => {
    const seconds = Math.floor((performance.now() - startedAt) / 1_000);
    const text = [waiting.doing, `${seconds} s`, state.more]
      .filter((part) => part !== "")
      .join(", ");
    if (!isTTY) return void process.stderr.write(`${text}\n`);
    const frame = FRAMES[(state.frame += 1) % FRAMES.length]!;
    process.stderr.write(
      CLEAR_LINE + cutTo(`${frame} ${text}`, (process.stderr.columns || USUAL_WIDTH) - 1),
    );
  };
  const interrupted = (): void => {
    process.stderr.write(`${isTTY ? CLEAR_LINE : ""}interrupted; ${waiting.afterInterrupt}\n`);
    if (waiting.cleanUp === undefined) end();
    else void waiting.cleanUp().finally(end);
  };
  const timers = [setInterval(show, isTTY ? FRAME_MS : PLAIN_MS), setInterval(ask, ASK_MS)];
  process.once("SIGINT", interrupted);
  try {
    return await work;
  } finally {
    for (const timer of timers) clearInterval(timer);
    process.off("SIGINT", interrupted);
    if (isTTY && state.frame > 0) process.stderr.write(CLEAR_LINE);
  }
}

/** Output of another program's on stderr while a line moves there; it shows again below. */
export const besideMoving = (text: string): boolean =>
  process.stderr.write(process.stderr.isTTY ? CLEAR_LINE + text : text);
