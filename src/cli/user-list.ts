import type { Command } from "commander";
import type { ListedUser } from "../api/types.ts";
import { roughDuration } from "../platform/durations.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, globalsOf, orDash } from "./output.ts";
import { ownName } from "./own-name.ts";
import { leavingText, table } from "./table.ts";
import type { Column } from "./table.ts";
import { expiryTone, untilText } from "./times.ts";
import { viewHere } from "./view.ts";
import type { Line, View } from "./view.ts";

/** A user without any has nothing that could end. */
const expiryText = (count: number, expiresAt: number | null, now: number): string =>
  count === 0 ? "none" : untilText(expiresAt, now);

const COLUMNS: readonly Column<ListedUser>[] = [
  { title: "USER", cell: ({ user }) => user },
  { title: "NAME", cell: ({ name }) => orDash(name), leaves: 4 },
  { title: "EMAIL", cell: ({ email }) => orDash(email), leaves: 3 },
  {
    title: "STATE",
    cell: ({ state }) => state,
    tone: ({ state }) => (state === "enabled" ? undefined : "warning"),
  },
  {
    title: "SEEN",
    cell: ({ lastSeenAt }, now) =>
      lastSeenAt === null ? "-" : `${roughDuration(Math.max(0, now - lastSeenAt) / 1_000)} ago`,
    isNumber: true,
  },
  {
    title: "KEY ENDS",
    cell: ({ keys, keyExpiresAt }, now) => expiryText(keys, keyExpiresAt, now),
    tone: ({ keys, keyExpiresAt }, now) => (keys === 0 ? "warning" : expiryTone(keyExpiresAt, now)),
  },
  {
    title: "TOKEN ENDS",
    cell: ({ tokens, tokenExpiresAt }, now) => expiryText(tokens, tokenExpiresAt, now),
    tone: ({ tokenExpiresAt }, now) => expiryTone(tokenExpiresAt, now),
  },
  { title: "SERVERS", cell: ({ servers }) => orDash(servers.join(",")), leaves: 2 },
  {
    title: "ADDED",
    cell: ({ createdAt }) => new Date(createdAt).toISOString().slice(0, 10),
    leaves: 1,
  },
];

export const userScreen = (users: readonly ListedUser[], view: View): Line[] =>
  table(COLUMNS, users, view);

/** Whether the text is in what the user is called, capitals or not. */
function isFound({ user, name, email }: ListedUser, text: string): boolean {
  return [user, name, email].some((said) => said?.toLowerCase().includes(text.toLowerCase()));
}

async function listUsers(
  search: string | undefined,
  _options: object,
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const found = await client.call<{ users: ListedUser[] }>("GET", apiPath(["users"]));
  const users = found.users.filter((user) => search === undefined || isFound(user, search));
  const nobody =
    found.users.length === 0
      ? `No users yet; \`${ownName(globalsOf(command).config)} user add NAME\` adds one.`
      : "No user is called anything like that.";
  answer(command, { users }, users.length === 0 ? [nobody] : userScreen(users, viewHere()));
}

export function addUserListCommand(user: Command): void {
  user
    .command("list [search]")
    .description("list all users, or those with this in their name or address")
    .addHelpText(
      "after",
      `${leavingText(COLUMNS)}\nExample:\n  mcp-supervisor user list\n  mcp-supervisor user list smith`,
    )
    .action(listUsers);
}
