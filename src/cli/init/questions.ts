import { createInterface } from "node:readline";
import { SupervisorError } from "../../errors.ts";
import { readPastedEntries, readSource } from "./source.ts";
import type { Source } from "./source.ts";

/** Hands over lines until one of them is enough; USAGE where the terminal is closed before. */
async function ask<T>(question: string, take: (line: string) => T | undefined): Promise<T> {
  const lines = createInterface({ input: process.stdin, output: process.stderr, prompt: "" });
  process.stderr.write(question);
  try {
    return await new Promise<T>((resolve, reject) => {
      const stop = (): void =>
        reject(new SupervisorError("USAGE", "interrupted; nothing was written"));
      lines.once("SIGINT", stop).once("close", stop);
      lines.on("line", (line) => {
        try {
          const taken = take(line);
          if (taken !== undefined) resolve(taken);
        } catch (error) {
          reject(error);
        }
      });
    });
  } finally {
    lines.close();
  }
}

/** An entry that begins with a brace or a name goes on until it is whole, or a line is empty. */
export async function askForSource(): Promise<Source> {
  let pasted = "";
  return await ask<Source>(
    "Which server? Paste its mcpServers entry, or name a file, a URL,\nnpm:NAME@VERSION or pypi:NAME==VERSION: ",
    (line) => {
      if (pasted === "" && line.trim() === "") return undefined;
      if (pasted === "" && !/^\s*["{]/.test(line)) return readSource(line.trim());
      pasted += `${line}\n`;
      const found = readPastedEntries(pasted);
      if (found === undefined && line.trim() === "")
        throw new SupervisorError("USAGE", "that is no entry of a server; nothing was written");
      return found;
    },
  );
}

export async function askYes(question: string, byDefault: boolean): Promise<boolean> {
  const typed = await ask(`${question} [${byDefault ? "Y/n" : "y/N"}] `, (line) => line.trim());
  return typed === "" ? byDefault : /^y(es)?$/i.test(typed);
}

/** Undefined where no user has a token of the own for it. */
export async function askForTokenVariable(): Promise<string | undefined> {
  const typed = await ask(
    "In which variable of its environment does it expect the user's token? (Enter for USER_ACCESS_TOKEN) ",
    (line) => line.trim(),
  );
  return typed === "" ? undefined : typed;
}
