import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

/** Something that this machine lacks; its message is one sentence for whoever started the run. */
export class MissingError extends Error {}

/** A folder below node_modules for what a run makes and the next one uses again. */
export const cacheFolder = (name: string): string =>
  fileURLToPath(new URL(`../../node_modules/.cache/${name}`, import.meta.url));

export interface Done {
  code: number | null;
  output: string;
  trouble: string;
}

export interface RunOptions {
  input?: string;
  cwd?: string;
}

/** Runs a program to its end. Rejects only if it cannot be started. */
export async function run(
  command: string,
  args: string[],
  { input = "", cwd }: RunOptions = {},
): Promise<Done> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], cwd });
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  });
  child.stdin.on("error", () => {}).end(input);
  const [output, trouble, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { code, output, trouble };
}

/** Runs a program that has to succeed; resolves with its output, rejects with `sentence` as a MissingError. */
export async function must(
  sentence: string,
  command: string,
  args: string[],
  cwd?: string,
): Promise<string> {
  const done = await run(command, args, { cwd }).catch((error: Error) => error.message);
  if (typeof done === "string") throw new MissingError(`${sentence} (${done})`);
  const { code, output, trouble } = done;
  if (code === 0) return output;
  throw new MissingError(`${sentence} (${trouble.trim().split("\n").at(-1) ?? `exit ${code}`})`);
}
