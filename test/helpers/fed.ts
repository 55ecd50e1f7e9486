import { writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { CLIENT, StrictProvider } from "../fixtures/providers/strict.ts";
import type { StrictOptions } from "../fixtures/providers/strict.ts";
import { startForAlice } from "./alice.ts";

/** A file that holds the secret of the strict provider's client. */
export function clientSecret(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "provider-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, "client.secret");
  writeFileSync(file, CLIENT.secret, { mode: 0o400 });
  return file;
}

/** A daemon whose servers are fed by a strict provider; `set` gives alice a refresh token of an account there. */
export async function startFed(
  t: TestContext,
  options: StrictOptions,
  servers: Record<string, object>,
  config: Record<string, unknown> = {},
) {
  const provider = await StrictProvider.open(options);
  t.after(() => provider.close());
  const fed = Object.entries(servers).map(([name, def]) => [name, { ...def, provider: "sso" }]);
  const providers = { sso: provider.config(clientSecret(t)) };
  const rig = await startForAlice(t, Object.fromEntries(fed) as object as never, {
    providers,
    ...config,
  });
  const set = async (server: string, account = "alice") =>
    await rig.daemon.cli(["token", "set", "alice", "--server", server, "--refresh-token-stdin"], {
      input: `${provider.grant(account)}\n`,
    });
  return { rig, provider, set };
}
