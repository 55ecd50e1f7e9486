import type { Command } from "commander";
import type { IssuedKey, KeyRow, OwnedKey } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, instant, orDash } from "./output.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";
import { expiryTone, parseLifetime } from "./times.ts";
import { viewHere } from "./view.ts";
import type { Line, View } from "./view.ts";

const COLUMNS: readonly Column<KeyRow>[] = [
  { title: "KEY", cell: ({ id }) => id },
  { title: "LABEL", cell: ({ label }) => orDash(label) },
  { title: "ISSUED", cell: ({ createdAt }) => instant(createdAt), leaves: 1 },
  {
    title: "EXPIRES",
    cell: ({ expiresAt }) => instant(expiresAt),
    tone: ({ expiresAt }, now) => expiryTone(expiresAt, now),
  },
];

const OWNER: Column<OwnedKey> = { title: "USER", cell: ({ user }) => user };

export function keyTable(keys: readonly KeyRow[], view: View): Line[] {
  return keys.length === 0 ? ["No access keys."] : table(COLUMNS, keys, view);
}

async function issueKey(
  name: string,
  options: { label?: string; expires?: string },
  command: Command,
): Promise<void> {
  const expiresAt =
    options.expires === undefined ? null : Date.now() + parseLifetime(options.expires);
  const client = await clientFor(command);
  const key = await client.call<IssuedKey>("POST", apiPath(["users", name, "keys"]), {
    label: options.label ?? null,
    expiresAt,
  });
  answer(command, key, [
    `Access key ${key.id} of ${name}, expires ${instant(key.expiresAt)} (shown this once; only its digest is kept):`,
    `  ${key.secret}`,
  ]);
}

async function listKeys(name: string, _options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const found = await client.call<{ keys: KeyRow[] }>("GET", apiPath(["users", name, "keys"]));
  answer(command, found, keyTable(found.keys, viewHere()));
}

async function listExpiring(options: { within: string }, command: Command): Promise<void> {
  const by = Date.now() + parseLifetime(options.within);
  const client = await clientFor(command);
  const path = apiPath(["keys"], { expiringBy: String(by) });
  const found = await client.call<{ keys: OwnedKey[] }>("GET", path);
  const lines =
    found.keys.length === 0
      ? [`No access key ends within ${options.within}.`]
      : table([OWNER, ...COLUMNS], found.keys, viewHere());
  answer(command, found, lines);
}

async function revokeKey(id: string, _options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const done = await client.call<{ id: string; user: string }>("DELETE", apiPath(["keys", id]));
  answer(command, done, [
    `Access key ${done.id} of ${done.user} is revoked; its streams are ended.`,
  ]);
}

export function addKeyCommands(program: Command): void {
  const key = program
    .command("key")
    .description("issue, list, revoke access keys; find those that end soon");
  key
    .command("issue <name>")
    .description("issue one more access key; it is printed this once")
    .option("--label <label>", "what the key is for")
    .option("--expires <lifetime>", "how long it works, like 90d or 12h (default: for ever)")
    .addHelpText(
      "after",
      "\nExample:\n  mcp-supervisor key issue alice --label laptop --expires 90d",
    )
    .action(issueKey);
  key
    .command("list <name>")
    .description("list a user's access keys, without the secrets")
    .addHelpText("after", "\nExample:\n  mcp-supervisor key list alice")
    .action(listKeys);
  key
    .command("expiring")
    .description("list the keys of all users that end soon")
    .option("--within <lifetime>", "how soon, like 14d or 12h", "14d")
    .addHelpText("after", "\nExample:\n  mcp-supervisor key expiring --within 30d")
    .action(listExpiring);
  key
    .command("revoke <id>")
    .description("revoke an access key and end its streams at once")
    .addHelpText("after", "\nExample:\n  mcp-supervisor key revoke k_2f9c1a")
    .action(revokeKey);
}
