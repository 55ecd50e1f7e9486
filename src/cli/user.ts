import type { Command } from "commander";
import type {
  AddedUser,
  IdentityRow,
  InvitedUser,
  RemovedUser,
  ShownUser,
  Unreached,
  UserRow,
} from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { confirm } from "./confirm.ts";
import { addGrantCommands } from "./group.ts";
import { keyTable } from "./key.ts";
import { requireNewSlug } from "../platform/slug.ts";
import { roughSize } from "../platform/sizes.ts";
import { answer, globalsOf, instant, unreachedLines } from "./output.ts";
import { whileWaiting } from "./progress.ts";
import { addInviteCommand, inviteLines } from "./invite.ts";
import { printable } from "./printable.ts";
import { ownName } from "./own-name.ts";
import { readSecret, withSecretOptions } from "./secret.ts";
import { instanceTable } from "./instance-table.ts";
import { parseInstant } from "./times.ts";
import { tokenTable } from "./token.ts";
import { urlLines } from "./url.ts";
import { addUserListCommand } from "./user-list.ts";
import { viewHere } from "./view.ts";

function addedLines(added: AddedUser | InvitedUser, hasToken: boolean, own: string): string[] {
  const { user, urls } = added;
  const entry =
    "invite" in added
      ? inviteLines(user, added.invite)
      : ["Access key (shown this once; only its digest is kept):", `  ${added.key.secret}`];
  return [
    `${user} is added.`,
    "",
    `Personal URLs (for ${user} only; they need the access key):`,
    ...urlLines({ urls }),
    "",
    ...entry,
    "",
    "Next:",
    ...(hasToken ? [] : [`  ${own} token set ${user}   stores ${user}'s token`]),
    `  ${own} url ${user}         snippets to paste into a client`,
  ];
}

async function addUser(
  name: string,
  options: { expiresAt?: string; name?: string; email?: string; invite?: boolean },
  command: Command,
): Promise<void> {
  // Before anything is asked for.
  requireNewSlug("user", name);
  const tokenExpiresAt = options.expiresAt === undefined ? null : parseInstant(options.expiresAt);
  const client = await clientFor(command);
  const token = await readSecret(command, `Token of ${name} (Enter for none yet): `);
  const { email, invite } = options;
  const about = { user: name, name: options.name, email, invite };
  const body = token === undefined ? about : { ...about, token, tokenExpiresAt };
  const added = await client.call<AddedUser | InvitedUser>("POST", apiPath(["users"]), body);
  answer(
    command,
    added,
    addedLines(added, token !== undefined, ownName(globalsOf(command).config)),
  );
}

function homeLines(homes: ShownUser["homes"]): string[] {
  if (homes.length === 0) return [];
  const sizes = homes.map(({ server, bytes }) => `${server} ${roughSize(bytes)}`);
  return ["", `Private homes: ${sizes.join(", ")}`];
}

function aboutLines({ name, email }: ShownUser): string[] {
  if (name === null && email === null) return [];
  return [[name, email === null ? null : `<${email}>`].filter((part) => part !== null).join(" ")];
}

async function showUser(name: string, _options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const shown = await client.call<ShownUser>("GET", apiPath(["users", name]));
  const view = viewHere();
  answer(command, shown, [
    `${shown.user} is ${shown.state}, added ${instant(shown.createdAt)}.`,
    ...aboutLines(shown),
    ...(shown.groups.length === 0 ? [] : [`Groups: ${shown.groups.join(", ")}`]),
    "",
    ...urlLines(shown),
    "",
    ...keyTable(shown.keys, view),
    "",
    ...identityLines(shown),
    ...tokenTable(shown.tokens, view),
    "",
    ...instanceTable(shown.instances, view),
    ...homeLines(shown.homes),
  ]);
}

function identityLines({ identities }: ShownUser): string[] {
  if (identities.length === 0) return [];
  const names = identities.map(({ issuer, subject }) => `${subject} of ${issuer}`);
  return [`JWTs: ${printable(names.join(", "))}`, ""];
}

async function linkUser(
  name: string,
  { issuer, subject }: { issuer: string; subject: string },
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const body = { issuer, subject };
  const linked = await client.call<IdentityRow & { user: string }>(
    "POST",
    apiPath(["users", name, "identities"]),
    body,
  );
  answer(command, linked, [
    `JWTs of ${printable(issuer)} for ${printable(subject)} are ${linked.user}'s from now on.`,
  ]);
}

async function setState(
  name: string,
  command: Command,
  verb: "disable" | "enable",
  sentence: string,
): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["users", name, verb]);
  const changed = await client.call<UserRow & Partial<Unreached>>("POST", path);
  const { user, state, mayLiveUntil = null } = changed;
  answer(command, changed, [`${user} is ${state}; ${sentence}`, ...unreachedLines(mayLiveUntil)]);
}

async function removeUser(
  name: string,
  { keepData = false, yes = false }: { keepData?: boolean; yes?: boolean },
  command: Command,
): Promise<void> {
  const what = keepData ? "keys and tokens" : "keys, tokens and private homes";
  if (!yes) await confirm(command, `Remove ${name} with all ${what}?`);
  const client = await clientFor(command);
  const path = apiPath(["users", name], { keepData: keepData ? "true" : undefined });
  const waiting = {
    doing: `removing ${name}`,
    afterInterrupt: "the daemon goes on with it, and finishes it at its next start at the latest",
  };
  const order = client.call<RemovedUser>("DELETE", path);
  const done = await whileWaiting(command, waiting, order);
  const { keys, sessions, instances, tokens, homes, keptHomes } = done.removed;
  answer(command, done, [
    `${done.user} is removed.`,
    `  ended:   access keys ${keys}, sessions ${sessions}, instances ${instances}`,
    `  deleted: tokens ${tokens}, private homes ${homes}`,
    ...(keptHomes > 0
      ? [`  kept:    private homes ${keptHomes}; a user who is added as ${name} gets them`]
      : []),
  ]);
}

export function addUserCommands(program: Command): void {
  const user = program
    .command("user")
    .description("add, invite, list, show, disable, enable, link, grant, remove users");
  withSecretOptions(user.command("add <name>"))
    .description("add a user; prints the personal URLs and, this once, the access key")
    .option("--name <name>", "what people know the user by")
    .option("--email <address>", "shown in lists; lets nobody in")
    .option("--expires-at <time>", "when the token expires: RFC 3339 or epoch seconds")
    .option("--invite", "print a link that gives an access key, once, in the place of one")
    .addHelpText(
      "after",
      '\nExample:\n  mcp-supervisor user add alice --name "Alice Smith" --token-file alice.token',
    )
    .action(addUser);
  addInviteCommand(user);
  addUserListCommand(user);
  user
    .command("show <name>")
    .description("show a user's URLs, access keys, tokens (fingerprints) and instances")
    .addHelpText("after", "\nExample:\n  mcp-supervisor user show alice")
    .action(showUser);
  user
    .command("disable <name>")
    .description("end a user's streams, stop the children and keep them off until enabled")
    .addHelpText("after", "\nExample:\n  mcp-supervisor user disable alice")
    .action(async (name: string, _options: object, command: Command) => {
      await setState(name, command, "disable", "streams are ended and children stopped.");
    });
  user
    .command("enable <name>")
    .description("let a disabled user in again")
    .addHelpText("after", "\nExample:\n  mcp-supervisor user enable alice")
    .action(async (name: string, _options: object, command: Command) => {
      await setState(name, command, "enable", "the access keys work again.");
    });
  user
    .command("link <name>")
    .description("say whose the JWTs of an issuer for a subject are")
    .requiredOption("--issuer <issuer>", "as the config names it, jwt for the one without a name")
    .requiredOption("--subject <subject>", "what the issuer calls the user")
    .addHelpText(
      "after",
      "\nExample:\n  mcp-supervisor user link alice --issuer https://sso.example.com --subject 00u1a2b3",
    )
    .action(linkUser);
  addGrantCommands(user);
  user
    .command("remove <name>")
    .description("end keys, streams and children, delete tokens and private homes")
    .option("--yes", "do not ask, as a terminal is asked")
    .option("--keep-data", "keep the private homes, for a user who is added under this name")
    .addHelpText("after", "\nExample:\n  mcp-supervisor user remove alice")
    .action(removeUser);
}
