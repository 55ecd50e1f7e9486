// Refreshes a token on a disk that is full, that fills up while the provider is asked and gives or
// refuses one, and that has room again. Tells on a line of JSON what came of each.
// node on-full-disk.ts FOLDER_ON_A_SMALL_DISK
import { rmSync, writeFileSync, writeSync, openSync, closeSync } from "node:fs";
import { join } from "node:path";
import { parseConfig } from "../../../src/config/config.ts";
import { toSupervisorError } from "../../../src/errors.ts";
import { openDataDir } from "../../../src/store/store.ts";
import { openVault } from "../../../src/vault/vault.ts";
import { CLIENT, StrictProvider } from "../../fixtures/providers/strict.ts";
import { tokensOver } from "../../helpers/tokens.ts";

const folder = process.argv[2]!;
const provider = await StrictProvider.open({ kind: "feishu-v2" });
const secret = join(folder, "client.secret");
writeFileSync(secret, CLIENT.secret, { mode: 0o400 });
const servers = { mail: { command: "x", provider: "sso" } };
const providers = { sso: provider.config(secret) };
const config = parseConfig({ dataDir: join(folder, "data"), providers, servers }, folder);
const dataDir = openDataDir(config.dataDir);
const { store } = dataDir;
const vault = openVault({ keyFile: join(config.dataDir, "vault.key"), store });
const tokens = tokensOver({ store, vault }, config);
store.users.insert("ada", 1);
tokens.setRefreshToken("ada", "mail", provider.grant("ada"));

const rest = join(folder, "rest");
function fill(): void {
  const handle = openSync(rest, "w");
  try {
    for (const bytes of [Buffer.alloc(65_536), Buffer.alloc(4096)])
      while (hasWritten(handle, bytes));
  } finally {
    closeSync(handle);
  }
}
function hasWritten(handle: number, bytes: Buffer): boolean {
  try {
    return writeSync(handle, bytes) === bytes.length;
  } catch {
    return false;
  }
}
async function outcome(): Promise<{ code: string; calls: number; state: string }> {
  const code = await tokens.refresh("ada", "mail").then(
    () => "ok",
    (error: unknown) => toSupervisorError(error).code,
  );
  return { code, calls: provider.calls.length, state: store.grants.find("ada", "mail")!.state };
}

fill();
const whileFull = await outcome();
rmSync(rest);
provider.beforeAnswer = fill;
const filledMeanwhile = await outcome();
const token = tokens.secretFor("ada", "mail");
provider.beforeAnswer = () => {};
const stillFull = await outcome();
rmSync(rest);
provider.beforeAnswer = fill;
provider.down = { status: 503 };
const refusedMeanwhile = await outcome();
provider.beforeAnswer = () => {};
provider.down = undefined;
rmSync(rest);
const withRoom = await outcome();
process.stdout.write(
  `${JSON.stringify({ whileFull, filledMeanwhile, token, stillFull, refusedMeanwhile, withRoom })}\n`,
);
await tokens.close();
dataDir.close();
await provider.close();
