import { Option } from "commander";
import type { Command } from "commander";
import type { RefreshedTokens, TokenRow, Unreached } from "../api/types.ts";
import { SupervisorError } from "../errors.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, instant, unreachedLines } from "./output.ts";
import { readRefreshToken, readSecret, withSecretOptions } from "./secret.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";
import { expiryTone, parseInstant } from "./times.ts";
import { viewHere } from "./view.ts";
import type { Line, Tone, View } from "./view.ts";

const ALL_SERVERS = "(all)";

interface ServerOption {
  server?: string;
}

interface SetOptions extends ServerOption {
  expiresAt?: string;
  refreshTokenStdin?: boolean;
}

/** What is refreshed ends all the time, and is looked at only where that goes on no more. */
function toneOf({ expiresAt, grant }: TokenRow, now: number): Tone | undefined {
  if (grant === null) return expiryTone(expiresAt, now);
  return grant.needsReauth === null ? undefined : "bad";
}

const COLUMNS: readonly Column<TokenRow>[] = [
  { title: "TOKEN FOR", cell: ({ server }) => server ?? ALL_SERVERS },
  { title: "FINGERPRINT", cell: ({ fingerprint }) => fingerprint ?? "(none yet)" },
  { title: "SET", cell: ({ setAt }) => instant(setAt), leaves: 1 },
  { title: "EXPIRES", cell: ({ expiresAt }) => instant(expiresAt), tone: toneOf },
];

export function tokenTable(tokens: readonly TokenRow[], view: View): Line[] {
  if (tokens.length === 0) return ["No tokens."];
  const lines = table(COLUMNS, tokens, view);
  const fed = tokens.flatMap(({ server, grant }) =>
    grant === null ? [] : [grantLine(server, grant)],
  );
  return fed.length === 0 ? lines : [...lines, "", ...fed];
}

/** What keeps the token for this server fresh, and how well. */
export function grantLine(
  server: TokenRow["server"],
  grant: NonNullable<TokenRow["grant"]>,
): string {
  const { provider, refreshExpiresAt, lastResult, lastTriedAt, needsReauth } = grant;
  const last = lastTriedAt === null ? "not asked yet" : `${lastResult} at ${instant(lastTriedAt)}`;
  const parts = [
    `${server ?? ALL_SERVERS}: from ${provider}`,
    `last refresh: ${last}`,
    `refresh token expires ${instant(refreshExpiresAt)}`,
  ];
  if (needsReauth !== null)
    parts.push(`has to connect anew since ${instant(needsReauth.since)}: ${needsReauth.reason}`);
  return parts.join("; ");
}

async function setToken(name: string, options: SetOptions, command: Command): Promise<void> {
  if (options.refreshTokenStdin) return await setRefreshToken(name, options, command);
  const expiresAt = options.expiresAt === undefined ? null : parseInstant(options.expiresAt);
  const client = await clientFor(command);
  const path = apiPath(["users", name, "token"], { server: options.server });
  const token = await readSecret(command, `Token of ${name}: `);
  if (token === undefined) {
    throw new SupervisorError(
      "USAGE",
      "no token given; type one in a terminal, or pass --token-stdin, --token-file or --token-env",
    );
  }
  const stored = await client.call<TokenRow>("PUT", path, { token, expiresAt });
  const late = expiresAt !== null && expiresAt <= Date.now() ? " (that time has passed)" : "";
  answer(command, stored, [
    `The token of ${name} for ${stored.server ?? "all servers"} is stored, fingerprint ${stored.fingerprint}, expires ${instant(stored.expiresAt)}${late}.`,
    "Children in use serve until others with the new token take over (status shows both); those not in use get it with the next message.",
  ]);
}

async function setRefreshToken(
  name: string,
  { server, expiresAt }: SetOptions,
  command: Command,
): Promise<void> {
  if (server === undefined || expiresAt !== undefined)
    throw new SupervisorError(
      "USAGE",
      "a refresh token is for one server, which --server names, and its provider says when it expires",
    );
  const client = await clientFor(command);
  const refreshToken = await readRefreshToken();
  const path = apiPath(["users", name, "token"], { server });
  const stored = await client.call<TokenRow>("PUT", path, { refreshToken });
  answer(command, stored, [
    `The refresh token of ${name} for ${server} is stored; ${stored.grant?.provider ?? "its provider"} is asked for a token with the next message.`,
    `mcp-supervisor token refresh ${name} --server ${server} asks now.`,
  ]);
}

async function refreshTokens(name: string, options: ServerOption, command: Command): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["users", name, "refresh"], { server: options.server });
  const done = await client.call<RefreshedTokens>("POST", path);
  answer(
    command,
    done,
    done.refreshed.map(
      ({ server, failure }) =>
        `${server}: ${failure === null ? "there is a new token" : failure.message}`,
    ),
  );
  if (done.refreshed.some(({ failure }) => failure !== null)) process.exitCode = 1;
}

async function showToken(name: string, _options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const found = await client.call<{ tokens: TokenRow[] }>("GET", apiPath(["users", name, "token"]));
  answer(command, found, tokenTable(found.tokens, viewHere()));
}

async function clearToken(name: string, options: ServerOption, command: Command): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["users", name, "token"], { server: options.server });
  const done = await client.call<{ server: string | null } & Unreached>("DELETE", path);
  answer(command, done, [
    `The token of ${name} for ${done.server ?? "all servers"} is deleted.`,
    ...unreachedLines(done.mayLiveUntil),
  ]);
}

export function addTokenCommands(program: Command): void {
  const token = program.command("token").description("set, show, clear a user's tokens");
  withSecretOptions(token.command("set <name>"))
    .description("store a user's token, encrypted; asks for it, hidden, in a terminal")
    .option("--server <server>", "for this server only, instead of all without one of their own")
    .addOption(
      new Option(
        "--refresh-token-stdin",
        "read from stdin a refresh token, with which the server's provider is asked for tokens",
      ).conflicts(["tokenStdin", "tokenFile", "tokenEnv"]),
    )
    .option("--expires-at <time>", "when it expires: RFC 3339 or epoch seconds")
    .addHelpText(
      "after",
      "\nExample:\n  mcp-supervisor token set alice --server gmail --token-file alice.token --expires-at 2027-01-31T12:00:00Z",
    )
    .action(setToken);
  token
    .command("refresh <name>")
    .description("ask the providers of a user's tokens for new ones now")
    .option("--server <server>", "of this server only")
    .addHelpText("after", "\nExample:\n  mcp-supervisor token refresh alice --server gmail")
    .action(refreshTokens);
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
