import type { Command } from "commander";
import type { IssuedKey, KeyRow } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, instant, orDash, table } from "./output.ts";
import { parseLifetime } from "./times.ts";

export function keyTable(keys: readonly KeyRow[]): string[] {
  if (keys.length === 0) return ["No access keys."];
  return table(
    ["KEY", "LABEL", "ISSUED", "EXPIRES"],
    keys.map(({ id, label, createdAt, expiresAt }) => [
      id,
      orDash(label),
      instant(createdAt),
      instant(expiresAt),
    ]),
  );
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
  answer(command, found, keyTable(found.keys));
}

async function revokeKey(id: string, _options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const done = await client.call<{ id: string; user: string }>("DELETE", apiPath(["keys", id]));
  answer(command, done, [
    `Access key ${done.id} of ${done.user} is revoked; its streams are ended.`,
  ]);
}

export function addKeyCommands(program: Command): void {
  const key = program.command("key").description("issue, list, revoke access keys");
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
    .command("revoke <id>")
    .description("revoke an access key and end its streams at once")
    .addHelpText("after", "\nExample:\n  mcp-supervisor key revoke k_2f9c1a")
    .action(revokeKey);
}
