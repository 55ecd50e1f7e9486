import { linkSync, lstatSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { isAccessKey, newAccessKey } from "../auth/access-key.ts";
import { SupervisorError } from "../errors.ts";
import { syncToDisk, writeInPlace } from "../platform/atomic-file.ts";
import { isOneTimeSecret, newOneTimeSecret } from "../platform/one-time.ts";
import { SLUG } from "../platform/slug.ts";

export type EntryKind = "keys" | "invites";
type Secrets = Record<string, string>;

const PRIVATE = 0o600;

const usage = (message: string, cause?: unknown): SupervisorError =>
  new SupervisorError("USAGE", message, { cause });

/**
 * A file for what lets new users in, a line each: name, tab, key or link. What goes into it is kept in
 * FILE.new before the daemon hears of it, and FILE is there once all in it is good. So whatever is killed
 * when, nothing is lost: the same order again finds FILE.new and ends what was begun.
 */
export class EntryFile {
  readonly #file: string;
  readonly #draft: string;
  readonly #kind: EntryKind;

  /** USAGE where the file is there. */
  constructor(file: string, kind: EntryKind) {
    this.#file = file;
    this.#draft = `${file}.new`;
    this.#kind = kind;
    if (lstatSync(file, { throwIfNoEntry: false }) !== undefined)
      throw usage(`${file} is there already: what is in it would be lost`);
  }

  /** What an order before this one has kept and not ended; USAGE for a file that none has written. */
  kept(): Secrets {
    if (lstatSync(this.#draft, { throwIfNoEntry: false }) === undefined) return {};
    const lines = this.#try(() => readFileSync(this.#draft, "utf8"))
      .split("\n")
      .filter((line) => line !== "");
    return Object.fromEntries(
      lines.map((line): [string, string] => {
        const [name = "", shown = "", ...rest] = line.split("\t");
        // A link ends with its code.
        const secret = shown.slice(shown.indexOf("#") + 1);
        const isSecret = this.#kind === "keys" ? isAccessKey(secret) : isOneTimeSecret(secret);
        if (SLUG.test(name) && isSecret && rest.length === 0) return [name, secret];
        throw usage(`${this.#draft} is in the way: it holds no ${this.#kind} of an earlier apply`);
      }),
    );
  }

  /** A new key or code for each of these. */
  make(users: readonly string[]): Secrets {
    const make = this.#kind === "keys" ? newAccessKey : newOneTimeSecret;
    return Object.fromEntries(users.map((user) => [user, make()]));
  }

  /** Returns when these are on the disk; with none there is no draft any more. */
  keep(secrets: Secrets): void {
    this.#try(() => {
      if (Object.keys(secrets).length === 0) rmSync(this.#draft, { force: true });
      else writeInPlace(this.#draft, { text: textOf(secrets), mode: PRIVATE });
      syncToDisk(dirname(this.#file));
    });
  }

  /** What is good now becomes the file; none is made for nobody. */
  finish(good: Secrets): void {
    this.keep(good);
    if (Object.keys(good).length === 0) return;
    this.#try(() => {
      linkSync(this.#draft, this.#file);
      rmSync(this.#draft);
      syncToDisk(dirname(this.#file));
    });
  }

  #try<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const { code = "unknown reason" } = error as NodeJS.ErrnoException;
      throw usage(`${this.#file} cannot be written (${code})`, error);
    }
  }
}

const textOf = (secrets: Secrets): string =>
  Object.entries(secrets)
    .map(([name, secret]) => `${name}\t${secret}\n`)
    .join("");
