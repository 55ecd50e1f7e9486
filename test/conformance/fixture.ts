import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { endWithUs } from "../helpers/end-with-us.ts";

/** The command line of the dual-era fixture, for a config or for `spawn`. */
export const FIXTURE = fileURLToPath(new URL("../fixtures/dual-era/main.ts", import.meta.url));

export interface Fixture {
  url: string;
  close: () => Promise<void>;
}

/** Starts the dual-era fixture on a port of its own choice. Rejects if it ends before it listens. */
export async function startFixture(...args: string[]): Promise<Fixture> {
  const child = spawn(process.execPath, ["--no-warnings", FIXTURE, "--port", "0", ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  endWithUs(child);
  const ended = once(child, "close");
  let said = "";
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      said += `${line}\n`;
      const address = /http:\S+/.exec(line)?.[0];
      if (address) resolve(address.replace("127.0.0.1", "localhost"));
    });
    ended.then(() => reject(new Error(`the fixture ended before it listened\n${said}`)), reject);
  });
  return {
    url,
    close: async () => {
      child.kill();
      await ended;
    },
  };
}
