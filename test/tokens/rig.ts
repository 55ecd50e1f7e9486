import path from "node:path";
import { writeFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import { openVault } from "../../src/vault/vault.ts";
import { CLIENT, StrictProvider } from "../fixtures/providers/strict.ts";
import type { StrictOptions } from "../fixtures/providers/strict.ts";
import { temporaryStore } from "../helpers/store.ts";
import { tokensOver } from "../helpers/tokens.ts";

export const NEVER = new AbortController().signal;

/** A strict provider, and the room with a server `mail` that it feeds, for these users, who have its refresh tokens unless they are to connect. */
export async function providerRig(
  t: TestContext,
  options: StrictOptions,
  {
    users = ["ada"],
    grant = "user",
    connects = false,
  }: { users?: string[]; grant?: string; connects?: boolean } = {},
) {
  const provider = await StrictProvider.open(options);
  const { store, folder } = temporaryStore(t);
  const secret = path.join(folder, "client.secret");
  writeFileSync(secret, `${CLIENT.secret}\n`, { mode: 0o400 });
  const config = parseConfig(
    {
      dataDir: folder,
      providers: { sso: provider.config(secret) },
      servers: { mail: { command: "x", provider: "sso", grant } },
    },
    folder,
    { env: {} },
  );
  const vault = openVault({ keyFile: path.join(folder, "vault.key"), store });
  const tokens = tokensOver({ store, vault }, config);
  t.after(async () => {
    await tokens.close();
    await provider.close();
  });
  for (const user of users) {
    store.users.insert(user, 1);
    if (grant === "user" && !connects) tokens.setRefreshToken(user, "mail", provider.grant(user));
  }
  const fresh = (user = "ada") => tokens.freshFor(user, "mail", NEVER);
  const row = (user = "ada") => store.grants.find(user, "mail")!;
  return { provider, store, vault, tokens, config, folder, secret, fresh, row };
}
