import { statSync } from "node:fs";
import type { AppliedRow, SetToken } from "../api/types.ts";
import type { WantedToken } from "../config/apply-schema.ts";
import { SupervisorError, counted } from "../errors.ts";
import { apiPath } from "./client.ts";
import type { ControlClient } from "./client.ts";

/** An order has at most a mebibyte; tokens of one order are stored together. */
const MAX_ORDER_BYTES = 512 * 1024;

/** USAGE for a file with tokens that other accounts can read. */
export function requirePrivate(file: string): void {
  if (file === "-") return;
  const stat = statSync(file);
  // What a shell hands over by another name is a pipe.
  if (!stat.isFile() || (stat.mode & 0o077) === 0) return;
  throw new SupervisorError("USAGE", `${file} has tokens in it, and other accounts can read it`, {
    details: [`chmod 600 '${file}', or hand it over on stdin: -f -`],
  });
}

function inOrders(tokens: readonly WantedToken[]): WantedToken[][] {
  const orders: WantedToken[][] = [];
  let bytes = Infinity;
  for (const one of tokens) {
    const own = Buffer.byteLength(JSON.stringify(one));
    if (bytes + own > MAX_ORDER_BYTES) {
      orders.push([]);
      bytes = 0;
    }
    orders.at(-1)!.push(one);
    bytes += own;
  }
  return orders;
}

/** Has the tokens stored that are not stored already; a dry run finds out which these are, and what is wrong. */
export async function applyTokens(
  client: ControlClient,
  tokens: readonly WantedToken[],
  dryRun: boolean,
): Promise<SetToken[]> {
  const stored: SetToken[] = [];
  for (const order of inOrders(tokens)) {
    const body = { tokens: order, dryRun };
    stored.push(...(await client.call<AppliedRow>("POST", apiPath(["apply"]), body)).tokens!);
  }
  return stored;
}

/** A line for each; a dry run says what would be. */
export const tokenLines = (tokens: readonly SetToken[], isDryRun: boolean): string[] => [
  ...tokens.map(({ user, server }) => `~ token of ${user} for ${server ?? "all servers"}`),
  ...(tokens.length === 0
    ? []
    : [`${counted(tokens.length, "token")} ${isDryRun ? "would be " : ""}stored.`]),
];
