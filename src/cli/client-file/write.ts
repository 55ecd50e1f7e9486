import type { Command } from "commander";
import { SupervisorError } from "../../errors.ts";
import { clientFileOf, clientOf, targetFor } from "../../web/snippets.ts";
import type { ClientId } from "../../web/snippets.ts";
import type { ClientFile, Target } from "../../web/client-entries.ts";
import type { UrlRow } from "../../web/urls.ts";
import { confirm } from "../confirm.ts";
import { answer, globalsOf } from "../output.ts";
import { readAccessKey } from "../secret.ts";
import { shown, viewHere } from "../view.ts";
import type { Line } from "../view.ts";
import { difference } from "./difference.ts";
import { readFound, requireOwnAccount, writeFound } from "./file.ts";
import { editJson } from "./json-edit.ts";
import { editToml, editYaml } from "./line-edit.ts";

const EDITS = { json: editJson, toml: editToml, yaml: editYaml };

export interface WriteOptions {
  client: ClientId;
  /** A file, or true for the client's usual one. */
  write: string | true;
  keyStdin?: boolean;
  yes?: boolean;
}

interface Written {
  user: string;
  rows: { row: UrlRow; front: "sse" | "http" }[];
}

/** USAGE for a client that has no file for its servers. */
export function requireFile(id: ClientId): ClientFile {
  const file = clientFileOf(id);
  if (file !== undefined) return file;
  const { name, where } = clientOf(id);
  throw new SupervisorError(
    "USAGE",
    `${name} has no file to write into: without --write the text is printed, which belongs in ${where}`,
  );
}

/** The file's text with the servers in it, and line ends as they were. */
export function merged(file: ClientFile, before: string, targets: Target[], key?: string): string {
  const [, mark = "", text = ""] = /^(\uFEFF?)([^]*)$/.exec(before)!;
  const isDos = text.includes("\r\n");
  const puts = targets.flatMap((target) => file.puts(target, key));
  const after = EDITS[file.format](isDos ? text.replaceAll("\r\n", "\n") : text, puts);
  return mark + (isDos ? after.replaceAll("\n", "\r\n") : after);
}

async function keyFor(
  command: Command,
  { isWithoutKey }: ClientFile,
  { keyStdin }: WriteOptions,
): Promise<string | undefined> {
  if (isWithoutKey && keyStdin !== true) return undefined;
  const key = await readAccessKey(command, "Access key (not shown): ");
  if (key === undefined)
    throw new SupervisorError(
      "USAGE",
      "this client takes the access key from its file only: pipe it in with --key-stdin",
    );
  return key;
}

/** Writes the user's servers into the client's own file, after showing what changes. */
export async function writeClientFile(
  command: Command,
  { user, rows }: Written,
  options: WriteOptions,
): Promise<void> {
  const { client, write, yes = false } = options;
  const clientFile = requireFile(client);
  requireOwnAccount();
  const found = readFound(write === true ? clientFile.path(process.platform) : write);
  const targets = rows.map((row) => targetFor(client, row));
  // Before anybody is asked for a key: what cannot be merged needs none.
  merged(clientFile, found.text, targets);
  const key = await keyFor(command, clientFile, options);
  const text = merged(clientFile, found.text, targets, key);
  const isChanged = text !== found.text;
  // Keys of ours are not shown, the one that is there already neither.
  const hidden = (all: string): string => {
    const ours = all.replaceAll(/mcps_[0-9A-Za-z]+/g, "mcps_…");
    return key === undefined ? ours : ours.replaceAll(key, "…");
  };
  if (isChanged && !globalsOf(command).json) {
    const lines: Line[] = [found.file, ...difference(hidden(found.text), hidden(text))];
    process.stderr.write(shown(lines, { hasColour: viewHere().hasColour }));
    if (!yes) await confirm(command, "Write this?");
  }
  const backup = isChanged ? writeFound(found, text) : null;
  const document = { user, client, servers: targets.map(({ name }) => name), file: found.file };
  answer(command, { ...document, changed: isChanged, backup, holdsKey: key !== undefined }, [
    isChanged ? `${found.file} is written.` : `${found.file} has it already; nothing was changed.`,
    ...(backup === null ? [] : [`As it was before it is in ${backup}.`]),
    ...(key === undefined ? keyHint(client) : []),
    ...(key !== undefined && ((found.mode ?? 0) & 0o077) !== 0
      ? [`Other accounts may read it, with the key in it: chmod 600 '${found.file}'`]
      : []),
  ]);
}

const keyHint = (client: ClientId): string[] =>
  client === "vscode"
    ? ["VS Code asks for the access key when it connects."]
    : [
        "The access key is taken from MCPS_KEY, where the client is started:",
        "  read -rs MCPS_KEY && export MCPS_KEY",
      ];
