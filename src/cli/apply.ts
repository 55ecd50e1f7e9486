import { createReadStream } from "node:fs";
import { text } from "node:stream/consumers";
import { Option } from "commander";
import type { Command } from "commander";
import type { AppliedRow, Change, SetToken } from "../api/types.ts";
import { SupervisorError, counted } from "../errors.ts";
import type { Wanted } from "../config/apply-schema.ts";
import { applyTokens, requirePrivate, tokenLines } from "./apply-tokens.ts";
import { apiPath, clientFor } from "./client.ts";
import type { ControlClient } from "./client.ts";
import type { EntryFile } from "./entry-file.ts";
import { answer, globalsOf } from "./output.ts";
import { ownName } from "./own-name.ts";

interface ApplyOptions {
  file: string;
  dryRun?: boolean;
  prune?: boolean;
  keysTo?: string;
  invitesTo?: string;
}

const PATH = apiPath(["apply"]);

async function read(file: string): Promise<string> {
  try {
    return await text(file === "-" ? process.stdin : createReadStream(file));
  } catch (cause) {
    const { code = "unknown reason" } = cause as NodeJS.ErrnoException;
    throw new SupervisorError("USAGE", `${file} cannot be read (${code})`, { cause });
  }
}

const isNew = (one: Change): one is Extract<Change, { change: "add-user" }> =>
  one.change === "add-user";

/** The order, with a key or an invite for each user who is new, all of which are on the disk before it is given. */
async function applyWithEntries(
  client: ControlClient,
  order: Wanted & { prune: boolean },
  { file, kind }: { file: EntryFile; kind: "keys" | "invites" },
): Promise<AppliedRow> {
  const kept = file.kept();
  const plan = await client.call<AppliedRow>("POST", PATH, { ...order, dryRun: true });
  const added = plan.changes.filter(isNew).map(({ user }) => user);
  const secrets = { ...file.make(added), ...kept };
  file.keep(secrets);
  let done: AppliedRow;
  try {
    done = await client.call<AppliedRow>("POST", PATH, { ...order, [kind]: secrets });
  } catch (error) {
    // Whoever did not hear an answer does not know what became of the order.
    const isAnswered = error instanceof SupervisorError && error.code !== "DAEMON_UNREACHABLE";
    if (!isAnswered) throw asUnknown(error as Error);
    file.keep(kept);
    throw error;
  }
  file.finish(
    kind === "invites"
      ? Object.fromEntries(done.invites!.map(({ user, url }) => [user, url]))
      : Object.fromEntries(done.keys!.map((user) => [user, secrets[user]!])),
  );
  return done;
}

const asUnknown = (cause: Error): SupervisorError =>
  new SupervisorError("DAEMON_UNREACHABLE", cause.message, {
    cause,
    details: [
      "what became of the order is not known: give it again, with the same file, and it is made whole",
    ],
  });

async function apply(options: ApplyOptions, command: Command): Promise<void> {
  const { dryRun = false, prune = false, keysTo, invitesTo } = options;
  const [{ readApplyFile }, { EntryFile }] = await Promise.all([
    import("../config/apply-file.ts"),
    import("./entry-file.ts"),
  ]);
  const name = options.file === "-" ? "stdin" : options.file;
  const { wanted, tokens, placed } = readApplyFile(await read(options.file), name);
  if (tokens.length > 0) requirePrivate(options.file);
  const kind = invitesTo === undefined ? "keys" : "invites";
  const place = keysTo ?? invitesTo;
  const entries = place === undefined ? undefined : new EntryFile(place, kind);
  const client = await clientFor(command);
  const order = { ...wanted, prune };
  let done: AppliedRow;
  let stored: SetToken[];
  try {
    // Before anything is changed: what is wrong with one of them takes back the whole.
    stored = await applyTokens(client, tokens, true);
    done =
      dryRun || entries === undefined
        ? await client.call<AppliedRow>("POST", PATH, { ...order, dryRun })
        : await applyWithEntries(client, order, { file: entries, kind });
  } catch (error) {
    if (!(error instanceof SupervisorError) || error.code !== "REQUEST_INVALID") throw error;
    const { message, details } = error;
    throw new SupervisorError(error.code, `${name}: ${message}`, { details: details.map(placed) });
  }
  if (!dryRun) stored = await applyTokens(client, tokens, false);
  const { invites: _links, ...changed } = done;
  const shown = tokens.length === 0 ? changed : { ...changed, tokens: stored };
  const letIn = done.keys ?? done.invites?.map(({ user }) => user);
  const document = letIn === undefined ? shown : { ...shown, [kind]: letIn };
  answer(command, document, [
    ...done.changes.map(changeLine),
    ...done.open.map((server) => `  ${server} is open to all users: it takes no grant`),
    ...tokenLines(stored, dryRun),
    ...(done.changes.length === 0 && stored.length > 0 ? [] : [summary(done)]),
    ...entryLines(done, { place, letIn, own: ownName(globalsOf(command).config) }),
  ]);
}

function summary({ dryRun, changes }: AppliedRow): string {
  if (changes.length === 0) return "Nothing to change.";
  const count = counted(changes.length, "change");
  return dryRun ? `${count}, none of them made: this is a dry run.` : `${count} made.`;
}

function entryLines(
  { dryRun, changes }: AppliedRow,
  {
    place,
    letIn,
    own,
  }: { place: string | undefined; letIn: readonly string[] | undefined; own: string },
): string[] {
  if (letIn !== undefined && letIn.length > 0)
    return [`What lets ${counted(letIn.length, "user")} in is in ${place}, for this account only.`];
  const added = changes.filter(isNew);
  if (dryRun || added.length === 0 || letIn !== undefined) return [];
  return [
    `${counted(added.length, "new user has", "new users have")} no access key yet: \`${own} user invite NAME\` makes a link that gives one.`,
  ];
}

function changeLine(one: Change): string {
  switch (one.change) {
    case "add-user":
      return `+ user ${one.user}`;
    case "set-user":
      return `~ user ${one.user}: other name or address`;
    case "enable-user":
      return `~ user ${one.user}: enabled`;
    case "disable-user":
      return `~ user ${one.user}: disabled`;
    case "add-group":
      return `+ group ${one.group}`;
    case "remove-group":
      return `- group ${one.group}`;
    case "add-member":
      return `+ ${one.user} in @${one.group}`;
    case "remove-member":
      return `- ${one.user} in @${one.group}`;
    case "grant":
      return `+ ${one.server} for ${one.to}`;
    case "ungrant":
      return `- ${one.server} for ${one.to}`;
  }
}

export function addApplyCommand(program: Command): void {
  program
    .command("apply")
    .description("make users, groups and grants as a file wants them, all of it or nothing")
    .requiredOption("-f, --file <file>", "YAML, JSON or CSV; - for stdin")
    .option("--dry-run", "print what would change, and change nothing")
    .option("--prune", "what an apply made and the file leaves out goes; users are disabled")
    .addOption(
      new Option(
        "--keys-to <file>",
        "a new file (0600) for an access key of each new user",
      ).conflicts("invitesTo"),
    )
    .addOption(
      new Option("--invites-to <file>", "a new file (0600) for a link that gives each one a key"),
    )
    .addHelpText(
      "after",
      [
        "",
        "Examples:",
        "  mcp-supervisor apply -f people.yaml --dry-run",
        "  mcp-supervisor apply -f people.yaml --invites-to invites.txt",
        "  mcp-supervisor apply -f people.yaml --prune",
        "  mcp-supervisor apply -f people.csv",
      ].join("\n"),
    )
    .action(apply);
}
