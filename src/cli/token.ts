import type { Command } from "commander";
import type { TokenRow } from "../api/types.ts";
import { SupervisorError } from "../errors.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, instant, table } from "./output.ts";
import { readSecret, withSecretOptions } from "./secret.ts";
import { parseInstant } from "./times.ts";

const ALL_SERVERS = "(all)";

interface ServerOption {
  server?: string;
}

export function tokenTable(tokens: readonly TokenRow[]): string[] {
  if (tokens.length === 0) return ["No tokens."];
  return table(
    ["TOKEN FOR", "FINGERPRINT", "SET", "EXPIRES"],
    tokens.map(({ server, fingerprint, setAt, expiresAt }) => [
      server ?? ALL_SERVERS,
      fingerprint ?? "(none yet)",
      instant(setAt),
      instant(expiresAt),
    ]),
  );
}

async function setToken(
  name: string,
  options: ServerOption & { expiresAt?: string },
  command: Command,
): Promise<void> {
  const expiresAt = options.expiresAt === undefined ? null : parseInstant(options.expiresAt);
  const client = await clientFor(command);
  const token = await readSecret(command, `Token of ${name}: `);
  if (token === undefined) {
    throw new SupervisorError(
      "USAGE",
      "no token given; type one in a terminal, or pass --token-stdin, --token-file or --token-env",
    );
  }
  const path = apiPath(["users", name, "token"], { server: options.server });
  const stored = await client.call<TokenRow>("PUT", path, { token, expiresAt });
  const late = expiresAt !== null && expiresAt <= Date.now() ? " (that time has passed)" : "";
  answer(command, stored, [
    `The token of ${name} for ${stored.server ?? "all servers"} is stored, fingerprint ${stored.fingerprint}, expires ${instant(stored.expiresAt)}${late}.`,
    "Children in use serve until others with the new token take over (status shows both); those not in use get it with the next message.",
  ]);
}

async function showToken(name: string, _options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const found = await client.call<{ tokens: TokenRow[] }>("GET", apiPath(["users", name, "token"]));
  answer(command, found, tokenTable(found.tokens));
}

async function clearToken(name: string, options: ServerOption, command: Command): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["users", name, "token"], { server: options.server });
  const done = await client.call<{ user: string; server: string | null }>("DELETE", path);
  answer(command, done, [`The token of ${name} for ${done.server ?? "all servers"} is deleted.`]);
}

export function addTokenCommands(program: Command): void {
  const token = program.command("token").description("set, show, clear a user's tokens");
  withSecretOptions(token.command("set <name>"))
    .description("store a user's token, encrypted; asks for it, hidden, in a terminal")
    .option("--server <server>", "for this server only, instead of all without one of their own")
    .option("--expires-at <time>", "when it expires: RFC 3339 or epoch seconds")
    .addHelpText(
      "after",
      "\nExample:\n  mcp-supervisor token set alice --server gmail --token-file alice.token --expires-at 2027-01-31T12:00:00Z",
    )
    .action(setToken);
  token
    .command("show <name>")
    .description("show fingerprints and expiry of a user's tokens, never the tokens")
    .addHelpText("after", "\nExample:\n  mcp-supervisor token show alice")
    .action(showToken);
  token
    .command("clear <name>")
    .description("delete a user's token")
    .option("--server <server>", "the one for this server, instead of the general one")
    .addHelpText("after", "\nExample:\n  mcp-supervisor token clear alice --server gmail")
    .action(clearToken);
}
