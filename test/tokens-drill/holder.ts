// Holds a data folder as a daemon does, and refreshes the tokens of its users all the time; ends in good
// order at SIGTERM. Says "open" on a line when it does.
// node holder.ts CONFIG_FILE
import { join } from "node:path";
import { loadConfig } from "../../src/config/config.ts";
import { openDataDir } from "../../src/store/store.ts";
import { openVault } from "../../src/vault/vault.ts";
import { tokensOver } from "../helpers/tokens.ts";
import { SERVER } from "./names.ts";

const config = loadConfig({ path: process.argv[2] });
const dataDir = openDataDir(config.dataDir);
const { store } = dataDir;
const vault = openVault({ keyFile: join(config.dataDir, "vault.key"), store });
const tokens = tokensOver({ store, vault }, config);
tokens.refresher.start(() => new Set());

const ending = new AbortController();
process.once("SIGTERM", () => {
  ending.abort();
  void tokens.close().then(() => dataDir.close());
});

async function refreshAlways(user: string): Promise<void> {
  while (!ending.signal.aborted) {
    try {
      await tokens.refresh(user, SERVER);
    } catch {
      // Of one that is being ended.
      await new Promise((done) => setTimeout(done, 10));
    }
  }
}

for (const { user } of store.grants.all()) void refreshAlways(user);
process.stdout.write("open\n");
