/** A daemon that starts a child in its data folder, says which, and stays until it is killed: earlier-daemon.ts DATADIR COMMAND [ARGS…]. */
import { createLogger } from "../../../src/telemetry/logger.ts";
import { parseConfig } from "../../../src/config/config.ts";
import { Isolation } from "../../../src/engines/process/isolation.ts";
import { openProcessEngine } from "../../../src/engines/process/process-engine.ts";

const [dataDir, command, ...args] = process.argv.slice(2);
const servers = { one: { command, args } };
const config = parseConfig({ dataDir, isolation: "none", servers }, dataDir!);
const [def] = Object.values(config.servers);
if (def?.kind !== "child") throw new Error("it is no child");
const log = createLogger("fatal");
const engine = await openProcessEngine({ config, isolation: new Isolation(config), log });
await engine.endLeft();
const ref = { user: "alice", server: "one", variant: "" };
const options = { onLine: () => {}, signal: new AbortController().signal };
const { pid } = await engine.start({ ref, def, token: undefined }, options);
console.log(`started ${pid}`);
setInterval(() => {}, 60_000);
