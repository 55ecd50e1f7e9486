import type { Command } from "commander";
import type { Invite, InvitedUser, RevokedInvite } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, instant } from "./output.ts";

/** What is said of an invite wherever one is made. */
export const inviteLines = (user: string, { url, expiresAt }: Invite): string[] => [
  `Invite (shown this once; for ${user} only, good once and until ${instant(expiresAt)}):`,
  `  ${url}`,
  "Whoever opens it gets an access key of its own, and can connect accounts.",
];

async function invite(
  name: string,
  { revoke = false }: { revoke?: boolean },
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["users", name, "invite"]);
  if (!revoke) {
    const made = await client.call<InvitedUser>("POST", path, {});
    return answer(command, made, inviteLines(made.user, made.invite));
  }
  const done = await client.call<RevokedInvite>("DELETE", path);
  const what = done.revoked ? "is good no more" : "was none: used, ended, or never made";
  answer(command, done, [`The invite of ${done.user} ${what}.`]);
}

export function addInviteCommand(user: Command): void {
  user
    .command("invite <name>")
    .description("print a link that gives the user an access key, once, within 24 hours")
    .option("--revoke", "make the link that there is void, and no other")
    .addHelpText("after", "\nExample:\n  mcp-supervisor user invite alice")
    .action(invite);
}
