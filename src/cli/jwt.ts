import type { Command } from "commander";
import type { IssuedJwt } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, instant } from "./output.ts";
import { parseInstant, parseLifetime } from "./times.ts";

async function issueJwt(
  name: string,
  options: { expires: string; audience?: string; issuer?: string },
  command: Command,
): Promise<void> {
  const { audience, issuer } = options;
  const expiresAt = Date.now() + parseLifetime(options.expires);
  const client = await clientFor(command);
  const path = apiPath(["users", name, "jwts"]);
  const issued = await client.call<IssuedJwt>("POST", path, { expiresAt, audience, issuer });
  answer(command, issued, [
    `JWT of ${issued.user}, expires ${instant(issued.expiresAt)} (shown this once; it is kept nowhere):`,
    `  ${issued.token}`,
  ]);
}

async function revokeBefore(
  name: string,
  options: { at?: string },
  command: Command,
): Promise<void> {
  const at = options.at === undefined ? undefined : parseInstant(options.at);
  const client = await clientFor(command);
  const path = apiPath(["users", name, "jwts", "revoke-before"]);
  const done = await client.call<{ user: string; revokedBefore: number }>("POST", path, { at });
  answer(command, done, [
    `JWTs of ${done.user} that were issued before ${instant(done.revokedBefore)} open nothing; their streams are ended.`,
  ]);
}

export function addJwtCommands(program: Command): void {
  const jwt = program.command("jwt").description("issue JWTs, revoke those issued before a time");
  jwt
    .command("issue <name>")
    .description("issue a JWT; it is printed this once")
    .requiredOption("--expires <lifetime>", "how long it works, like 1h or 30d")
    .option("--audience <audience>", "one of the issuer's audiences (default: the first)")
    .option("--issuer <issuer>", "which issuer of the config signs, where several can")
    .addHelpText("after", "\nExample:\n  mcp-supervisor jwt issue alice --expires 1h")
    .action(issueJwt);
  jwt
    .command("revoke-before <name>")
    .description(
      "refuse a user's JWTs that were issued before a time, and end their streams at once",
    )
    .option("--at <time>", "RFC 3339 or epoch seconds (default: now)")
    .addHelpText("after", "\nExample:\n  mcp-supervisor jwt revoke-before alice")
    .action(revokeBefore);
}
