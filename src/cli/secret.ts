import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { Readable } from "node:stream";
import { Option } from "commander";
import type { Command } from "commander";
import { SupervisorError } from "../errors.ts";
import { canAsk } from "./output.ts";

/** What the control API takes too; a longer one could not be handed to a child by any system. */
const MAX_TOKEN_BYTES = 128 * 1024;

interface SecretOptions {
  tokenStdin?: boolean;
  tokenFile?: string;
  tokenEnv?: string;
}

/** Adds the three ways to hand over a token without a terminal; argv is not one, because every user of the machine can read it. */
export function withSecretOptions(command: Command): Command {
  const all = ["tokenStdin", "tokenFile", "tokenEnv"];
  const but = (own: string): string[] => all.filter((name) => name !== own);
  return command
    .addOption(
      new Option("--token-stdin", "read the token from stdin").conflicts(but("tokenStdin")),
    )
    .addOption(
      new Option("--token-file <file>", "read the token from a file").conflicts(but("tokenFile")),
    )
    .addOption(
      new Option("--token-env <name>", "read the token from an environment variable").conflicts(
        but("tokenEnv"),
      ),
    );
}

const usage = (message: string, cause?: unknown): SupervisorError =>
  new SupervisorError("USAGE", message, { cause });

async function readAll(source: Readable, from: string): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      // Two more for the newline that is dropped.
      if (length > MAX_TOKEN_BYTES + 2) throw usage(`${from} holds more than 128 KiB`);
    }
  } catch (error) {
    if (error instanceof SupervisorError) throw error;
    const why = (error as NodeJS.ErrnoException).code ?? "it cannot be read";
    throw usage(`cannot read the token from ${from}: ${why}`, error);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    throw usage(`${from} does not hold text (UTF-8)`, error);
  }
}

/** Asks on the terminal without showing what is typed; the question goes to stderr, so that stdout stays clean. Rejects with USAGE. */
export async function askHidden(question: string): Promise<string> {
  const mute = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({
    input: process.stdin,
    output: mute,
    terminal: true,
    historySize: 0,
  });
  // Only now, with the terminal's own echo off: somebody types, or pastes, as soon as the question is there.
  process.stderr.write(question);
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once("line", resolve);
      lines.once("SIGINT", () => reject(usage("interrupted; nothing was changed")));
      lines.once("close", () => reject(usage("no token was typed; nothing was changed")));
    });
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}

function fromEnvironment(name: string): string {
  const value = process.env[name];
  // Anything else may be the token itself, put where its name belongs.
  const named = /^[A-Z_][A-Z0-9_]*$/.test(name) ? name : "that --token-env names";
  if (value === undefined) throw usage(`the environment variable ${named} is not set`);
  return value;
}

async function fromStdin(hint: string): Promise<string> {
  if (process.stdin.isTTY) throw usage(`stdin is a terminal; ${hint}`);
  return await readAll(process.stdin, "stdin");
}

/** The token of `--refresh-token-stdin`, which nobody is asked for. Rejects with USAGE. */
export const readRefreshToken = async (): Promise<string> =>
  chomped(await fromStdin("pipe the token in for --refresh-token-stdin"));

function chomped(text: string, what = "the token"): string {
  const token = text.replace(/\r?\n$/, "");
  if (token === "") throw usage(`${what} is empty`);
  return token;
}

/**
 * The access key of `--key-stdin`, or that was typed at the hidden prompt; undefined where there is
 * nobody to ask. Rejects with USAGE, for what no header can carry too.
 */
export async function readAccessKey(
  command: Command,
  question: string,
): Promise<string | undefined> {
  const { keyStdin } = command.opts<{ keyStdin?: boolean }>();
  if (keyStdin !== true && !canAsk(command)) return undefined;
  const text =
    keyStdin === true
      ? await fromStdin("pipe the key in, or leave --key-stdin away to be asked for it")
      : await askHidden(question);
  const key = chomped(text, "the access key");
  if (!/^[\x21-\x7e]+$/.test(key)) throw usage("that is no access key: it has other characters");
  return key;
}

/**
 * The token that the options name, or that was typed at the hidden prompt; undefined without an
 * option where there is nobody to ask (`--json`, or no terminal) or nothing was typed.
 *
 * One trailing newline is dropped, because editors and `echo` add one. Rejects with USAGE.
 */
export async function readSecret(command: Command, question: string): Promise<string | undefined> {
  const options = command.opts<SecretOptions>();
  let text: string;
  if (options.tokenStdin) {
    text = await fromStdin("pipe the token in, or leave --token-stdin away to be asked for it");
  } else if (options.tokenFile !== undefined) {
    text = await readAll(createReadStream(options.tokenFile), "the file that --token-file names");
  } else if (options.tokenEnv !== undefined) {
    text = fromEnvironment(options.tokenEnv);
  } else if (canAsk(command)) {
    const typed = await askHidden(question);
    return typed === "" ? undefined : typed;
  } else {
    return undefined;
  }
  return chomped(text);
}
