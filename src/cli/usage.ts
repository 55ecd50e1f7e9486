import type { CommanderError } from "commander";
import { SupervisorError, counted } from "../errors.ts";

/** Commands that store a token: what stands behind their argument is most likely one. */
const TAKES_TOKEN = ["set", "add"];
const NO_ARGUMENT =
  "; a token is never an argument, because other accounts and the shell's history can read those: leave it away to be asked for it, or use --token-stdin, --token-file or --token-env";

const EXCESS = /too many arguments for '([^']*)'\. Expected (\d+) arguments? but got (\d+):.*/s;
const OPTION = /unknown option '(--[^'=]*|-[^-'])[^']*'/s;
/** A value that is none of the choices. */
const CHOICE = /(?:command-argument value|argument) '.*?' is invalid/s;
/** Only what is nearly a command of ours can be told from a secret. */
const COMMAND = /unknown command '(?![a-z-]+'\s+\(Did you mean).*'/s;

function excess(_: string, command: string, expected: string, given: string): string {
  const takes = expected === "0" ? "none" : expected;
  const hint = TAKES_TOKEN.includes(command) ? NO_ARGUMENT : "";
  return `too many arguments for '${command}': it takes ${takes}, and ${counted(Number(given), "was", "were")} given${hint}`;
}

/**
 * A complaint of commander's about the command line, without the values in it: a secret that was typed
 * where none belongs must not go on into logs and the output of scripts.
 */
export function withoutValues(complaint: string): string {
  return complaint
    .replace(EXCESS, excess)
    .replace(OPTION, "unknown option '$1'")
    .replace(CHOICE, "the value is none of the choices")
    .replace(COMMAND, "unknown command");
}

/** Commander throws its help text where a word is missing, and a sentence everywhere else. */
export function usageError({ code, message }: CommanderError): SupervisorError {
  const sentence = code === "commander.help" ? "a command is missing" : withoutValues(message);
  const plain = sentence.replace(/^error: /, "").trim();
  return new SupervisorError("USAGE", plain.replaceAll("\n", " "));
}
