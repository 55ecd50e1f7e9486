import type { Argument, Command, Option } from "commander";
import type { Group, ListedUser, OwnedKey } from "../api/types.ts";
import { FILES } from "./completion-scripts.ts";
import { apiPath, createControlClient } from "./client.ts";
import { serversOf } from "./server.ts";

/** Whoever presses Tab waits no longer for a daemon that is busy. */
const PATIENCE_MS = 1_000;

/** What a word may be: one of these, or of what there is of that kind. */
type Kind =
  | "users"
  | "servers"
  | "keys"
  | "sessions"
  | "groups"
  | "grants"
  | "files"
  | "anything"
  | readonly string[];

/** Options by what they take; those of lists of their own say it themselves. */
const KIND_OF_OPTION: Record<string, Kind> = {
  "--server": "servers",
  "--user": "users",
  "--config": "files",
  "--file": "files",
  "--keys-to": "files",
  "--invites-to": "files",
  "--token-file": "files",
  "--headers-file": "files",
  "--env-file": "files",
  "--keep-in": "files",
  "--from": "files",
};

/** Where the line has come to before its last word. */
interface Place {
  command: Command;
  /** Of the arguments that stand before it. */
  given: number;
  /** Whose value the last word is. */
  option: Option | undefined;
  config: string | undefined;
}

const optionsOf = (command: Command): readonly Option[] =>
  command.parent === null ? command.options : [...command.options, ...optionsOf(command.parent)];

function placeOf(program: Command, before: readonly string[]): Place {
  const place: Place = { command: program, given: 0, option: undefined, config: undefined };
  for (const word of before) {
    const { command, option } = place;
    if (option !== undefined) {
      if (option.long === "--config") place.config = word;
      place.option = undefined;
    } else if (word.startsWith("-")) {
      const found = optionsOf(command).find(({ long, short }) => long === word || short === word);
      if (found?.required === true) place.option = found;
    } else {
      const inner = command.commands.find((one) => one.name() === word);
      if (inner === undefined) place.given += 1;
      else place.command = inner;
    }
  }
  return place;
}

/** What stands at this place of a command that takes no other command. */
function kindOfArgument(command: Command, argument: Argument | undefined): Kind {
  const group = command.parent?.name();
  const name = argument?.name();
  if (argument?.argChoices !== undefined) return argument.argChoices;
  if (name === "file") return "files";
  if (name === "what") return "grants";
  if (name === "group") return "groups";
  if (name === "users") return "users";
  if (name === "id" && group === "key") return "keys";
  if (name === "id" && group === "session") return "sessions";
  if (name === "server" || (name === "name" && group === "package")) return "servers";
  if (group === "server") return command.name() === "uninstall" ? "servers" : "anything";
  const isNew = group === "user" && command.name() === "add";
  return (name === "name" || name === "search") && !isNew ? "users" : "anything";
}

function kindOf({ command, given, option }: Place, word: string): Kind {
  if (option !== undefined)
    return option.argChoices ?? KIND_OF_OPTION[option.long ?? ""] ?? "anything";
  if (word.startsWith("-"))
    return [...optionsOf(command).flatMap(({ long }) => long ?? []), "--help"];
  if (command.commands.length > 0) return command.commands.map((inner) => inner.name());
  const { registeredArguments } = command;
  const last = registeredArguments.at(-1);
  const argument = registeredArguments[given] ?? (last?.variadic === true ? last : undefined);
  return kindOfArgument(command, argument);
}

/** Names of what there is, as the config and the daemon tell it. */
async function namesOf(
  kind: Exclude<Kind, "files" | "anything" | readonly string[]>,
  path?: string,
): Promise<string[]> {
  const { loadConfig } = await import("../config/config.ts");
  const config = loadConfig({ path });
  const client = createControlClient(config.controlSocket);
  if (kind === "servers") {
    const own = Object.keys({ ...config.servers, ...config.environment });
    // Those of the config are known without a daemon.
    const found = await serversOf(client).catch(() => []);
    return [...new Set([...own, ...found.map(({ slug }) => slug)])];
  }
  if (kind === "groups" || kind === "grants") {
    const { groups } = await client.call<{ groups: Group[] }>("GET", apiPath(["groups"]));
    const names = groups.map(({ name }) => name);
    if (kind === "groups") return names;
    const granted = (await serversOf(client)).filter(({ origin }) => origin === "rest");
    return [...granted.map(({ slug }) => slug), ...names.map((name) => `@${name}`)];
  }
  if (kind === "keys")
    return (await client.call<{ keys: OwnedKey[] }>("GET", apiPath(["keys"]))).keys.map(
      ({ id }) => id,
    );
  if (kind === "sessions")
    return (await client.call<{ sessions: string[] }>("GET", apiPath(["sessions"]))).sessions;
  const { users } = await client.call<{ users: ListedUser[] }>("GET", apiPath(["users"]));
  return users.map(({ user }) => user);
}

/** What cannot be asked for has no names: a shell that waits for a candidate has no use for an error. */
async function quietly(names: Promise<string[]>): Promise<string[]> {
  const late = new Promise<string[]>((resolve) => {
    setTimeout(resolve, PATIENCE_MS, []).unref();
  });
  return await Promise.race([names.catch(() => []), late]);
}

/** What the last word may become, in its order; FILES where any file is meant. */
export async function candidates(program: Command, words: readonly string[]): Promise<string[]> {
  const last = words.at(-1) ?? "";
  const place = placeOf(program, words.slice(0, -1));
  const kind = kindOf(place, last);
  if (kind === "anything") return [];
  if (kind === "files") return [FILES];
  const all = typeof kind === "string" ? await quietly(namesOf(kind, place.config)) : kind;
  return all.filter((word) => word.startsWith(last));
}
