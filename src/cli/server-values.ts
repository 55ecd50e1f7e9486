import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import type { ShownServer } from "../api/types.ts";
import { SupervisorError } from "../errors.ts";
import { canAsk } from "./output.ts";
import { askHidden } from "./secret.ts";

export interface ValueOptions {
  header?: string[];
  removeHeader?: string[];
  headersFile?: string;
  headersStdin?: boolean;
  env?: string[];
  removeEnv?: string[];
  envFile?: string;
}

const usage = (message: string, cause?: unknown): SupervisorError =>
  new SupervisorError("USAGE", message, { cause });

const collected = (value: string, all: string[] = []): string[] => [...all, value];

/** Adds the ways to hand over values of headers and variables; argv is none, because every user of the machine can read it. */
export const withValueOptions = (command: Command): Command =>
  command
    .option("--header <name>", "ask, hidden, for this header's value; may be repeated", collected)
    .option("--remove-header <name>", "no longer send this header; may be repeated", collected)
    .option("--headers-file <file>", "all headers, as a JSON object in a file")
    .option("--headers-stdin", "all headers, as a JSON object on stdin")
    .option("--env <name>", "ask, hidden, for this variable's value; may be repeated", collected)
    .option("--remove-env <name>", "no longer set this variable; may be repeated", collected)
    .option("--env-file <file>", "all variables of a program, as a JSON object in a file");

type Values = Readonly<Record<string, unknown>>;

/** `headers` and `env` as the options say them, over those of now; null keeps a value. Rejects with USAGE. */
export async function readValues(
  command: Command,
  now: ShownServer | undefined,
): Promise<{ headers?: Values; env?: Values }> {
  const {
    header,
    removeHeader,
    headersFile,
    headersStdin = false,
    ...more
  } = command.opts<ValueOptions>();
  if (headersFile !== undefined && headersStdin)
    throw usage("--headers-file and --headers-stdin exclude each other");
  const all = headersStdin ? await fromStdin() : fromFile(headersFile);
  const headers = await merged(command, all, now?.["headers"], { ask: header, drop: removeHeader });
  const [variables, change] = [fromFile(more.envFile), { ask: more.env, drop: more.removeEnv }];
  const env = await merged(command, variables, now?.["env"], change);
  return { ...(headers !== undefined && { headers }), ...(env !== undefined && { env }) };
}

interface Changes {
  ask: readonly string[] | undefined;
  drop: readonly string[] | undefined;
}

/** Undefined where nothing is said. */
async function merged(
  command: Command,
  whole: Values | undefined,
  now: unknown,
  { ask = [], drop = [] }: Changes,
): Promise<Values | undefined> {
  if (ask.length === 0 && drop.length === 0) return whole;
  const replaced = new Set([...ask, ...drop].map((name) => name.toLowerCase()));
  const kept = Object.entries(whole ?? { ...(now as Values | undefined) });
  const values = kept.filter(([name]) => !replaced.has(name.toLowerCase()));
  for (const name of ask) values.push([name, await valueOf(command, name)]);
  return Object.fromEntries(values);
}

async function valueOf(command: Command, name: string): Promise<string> {
  // Whoever writes the value here too has it in argv, where all can read it.
  if (/[:=\s]/.test(name)) throw usage("name the header or variable alone; its value is asked for");
  if (!canAsk(command))
    throw usage(
      "there is no terminal to ask for a value; hand all over with --headers-file, --headers-stdin or --env-file",
    );
  return await askHidden(`${name}: `);
}

/** No message of V8, which quotes what it cannot read. */
function objectIn(json: string, from: string): Values {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw usage(`${from} holds no JSON`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Values;
  throw usage(`${from} holds no JSON object`);
}

/** The text of a file that an option or an argument names. USAGE. */
export function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code = "it cannot be read" } = error as NodeJS.ErrnoException;
    throw usage(`${file}: ${code}`, error);
  }
}

const fromFile = (file: string | undefined): Values | undefined =>
  file === undefined ? undefined : objectIn(textOf(file), file);

async function fromStdin(): Promise<Values> {
  if (process.stdin.isTTY) throw usage("stdin is a terminal; pipe the headers in");
  return objectIn(await text(process.stdin), "stdin");
}
