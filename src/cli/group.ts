import type { Command } from "commander";
import type { ChangedGrant, ChangedGroup, ChangedMember, Group } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { confirm } from "./confirm.ts";
import { answer, globalsOf, orDash } from "./output.ts";
import { ownName } from "./own-name.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";
import { viewHere } from "./view.ts";

const COLUMNS: readonly Column<Group>[] = [
  { title: "GROUP", cell: ({ name }) => name },
  { title: "MEMBERS", cell: ({ members }) => String(members.length), isNumber: true },
  { title: "SERVERS", cell: ({ servers }) => orDash(servers.join(",")) },
];

/** `@staff` is the group staff; undefined for a user or a server. */
const groupIn = (word: string): string | undefined =>
  word.startsWith("@") ? word.slice(1) : undefined;

/** Where grants of a user, or of a group or everybody (`@staff`, `@all`), are ordered. */
function grantsPath(name: string, server: string): string {
  const group = groupIn(name);
  return apiPath([...(group === undefined ? ["users", name] : ["groups", group]), "grants"], {
    server,
  });
}

const whoIs = (to: string): string =>
  to === "@all" ? "Everybody" : to.startsWith("@") ? `The group ${to.slice(1)}` : to;

function grantLine({ to, server, changed, open }: ChangedGrant): string {
  if (open) return `${server} is open to all users: it takes no grant.`;
  return changed ? `${whoIs(to)} may use ${server} now.` : `${whoIs(to)} had ${server} already.`;
}

async function grant(
  name: string,
  what: string,
  _options: object,
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const group = groupIn(what);
  if (group === undefined) {
    const done = await client.call<ChangedGrant>("PUT", grantsPath(name, what));
    return answer(command, done, [grantLine(done)]);
  }
  const path = apiPath(["groups", group, "members", name]);
  const done = await client.call<ChangedMember>("PUT", path);
  const now = done.changed ? "is in" : "was already in";
  answer(command, done, [`${done.user} ${now} the group ${done.group}.`]);
}

async function ungrant(
  name: string,
  what: string,
  _options: object,
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const group = groupIn(what);
  if (group !== undefined) return await removeMembers(group, [name], command);
  const { to, server, changed } = await client.call<ChangedGrant>("DELETE", grantsPath(name, what));
  const line = changed
    ? `${server} is not granted to ${to} any more; what only that let in is ended.`
    : `${server} was not granted to ${to}.`;
  answer(command, { to, server, changed, open: false }, [line]);
}

async function addGroup(
  name: string,
  users: string[],
  _options: object,
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["groups", name, "members"]);
  const group = await client.call<ChangedGroup>("PUT", path, { users });
  const { made, members, servers } = group;
  const own = ownName(globalsOf(command).config);
  answer(command, group, [
    `The group ${group.name} is ${made ? "added" : "there"}; members: ${orDash(members.join(", "))}.`,
    ...(servers.length > 0
      ? []
      : ["", "Next:", `  ${own} user grant @${group.name} SERVER   lets its members use a server`]),
  ]);
}

async function removeMembers(group: string, users: string[], command: Command): Promise<void> {
  const client = await clientFor(command);
  const done: ChangedMember[] = [];
  for (const user of users) {
    const path = apiPath(["groups", group, "members", user]);
    done.push(await client.call<ChangedMember>("DELETE", path));
  }
  answer(
    command,
    done.length === 1 ? done[0]! : { group, removed: done },
    done.map(({ user, changed }) =>
      changed
        ? `${user} is not in the group ${group} any more; what only that let in is ended.`
        : `${user} was not in the group ${group}.`,
    ),
  );
}

async function removeGroup(
  name: string,
  users: string[],
  { yes = false }: { yes?: boolean },
  command: Command,
): Promise<void> {
  if (users.length > 0) return await removeMembers(name, users, command);
  if (!yes) await confirm(command, `Remove the group ${name} with all that is granted to it?`);
  const client = await clientFor(command);
  const gone = await client.call<Group>("DELETE", apiPath(["groups", name]));
  answer(command, gone, [
    `The group ${gone.name} is removed; ${gone.members.length} members keep what they have in another way.`,
  ]);
}

async function listGroups(_options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const found = await client.call<{ groups: Group[] }>("GET", apiPath(["groups"]));
  const { groups } = found;
  answer(command, found, groups.length === 0 ? ["No groups."] : table(COLUMNS, groups, viewHere()));
}

async function listMembers(name: string, _options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const group = await client.call<Group>("GET", apiPath(["groups", name]));
  answer(command, group, group.members.length === 0 ? ["No members."] : group.members);
}

/** `user grant` and `user ungrant`. */
export function addGrantCommands(user: Command): void {
  user
    .command("grant <name> <what>")
    .description("let a user, a @GROUP or @all use a server; put a user into a @GROUP")
    .addHelpText(
      "after",
      [
        "",
        "Examples:",
        "  mcp-supervisor user grant alice weather",
        "  mcp-supervisor user grant alice @staff",
        "  mcp-supervisor user grant @staff weather",
        "  mcp-supervisor user grant @all weather",
        "",
        "Servers of the config are open to all users and take no grant.",
      ].join("\n"),
    )
    .action(grant);
  user
    .command("ungrant <name> <what>")
    .description("take a server from a user, a @GROUP or @all, or a user out of a @GROUP")
    .addHelpText(
      "after",
      "\nStreams, sessions and children that only that let in end at once.\n\nExample:\n  mcp-supervisor user ungrant alice weather",
    )
    .action(ungrant);
}

export function addGroupCommands(program: Command): void {
  const group = program.command("group").description("add, remove, list groups of users");
  group
    .command("add <group> [users...]")
    .description("make a group where it is not there, and put users into it")
    .addHelpText("after", "\nExample:\n  mcp-supervisor group add staff alice bob")
    .action(addGroup);
  group
    .command("remove <group> [users...]")
    .description("take users out of a group; without users, remove the group")
    .option("--yes", "do not ask, as a terminal is asked")
    .addHelpText(
      "after",
      "\nExamples:\n  mcp-supervisor group remove staff alice\n  mcp-supervisor group remove staff --yes",
    )
    .action(removeGroup);
  group
    .command("list")
    .description("list groups with the servers that are granted to them")
    .addHelpText("after", "\nExample:\n  mcp-supervisor group list")
    .action(listGroups);
  group
    .command("members <group>")
    .description("list the members of a group")
    .addHelpText("after", "\nExample:\n  mcp-supervisor group members staff")
    .action(listMembers);
}
