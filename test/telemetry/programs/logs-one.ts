/** Logs one line of each kind to stderr, as the format says that is named. */
import type { LogFormat } from "../../../src/telemetry/log-format.ts";
import { createLogger } from "../../../src/telemetry/logger.ts";

const log = createLogger("info", { format: process.argv[2] as LogFormat });
log.info({ user: "alice", path: "a b" }, "serving");
log.warn("odd");
log.error({ err: new Error("it broke") }, "failed");
