import { createLogger } from "../../../src/telemetry/logger.ts";

// Logs lines in turns as fast as it can, says on stdout that it is alive, ends at SIGTERM.
const log = createLogger("info");
const padding = "x".repeat(1000);
let count = 0;
const timer = setInterval(() => {
  for (let i = 0; i < 50; i += 1) log.info({ count: (count += 1), padding }, "a line");
  process.stdout.write(`${count}\n`);
}, 5);
process.on("SIGTERM", () => {
  clearInterval(timer);
  log.fatal("the last words");
  process.exit(0);
});
