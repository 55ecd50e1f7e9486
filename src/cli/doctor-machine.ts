import type { Command } from "commander";
import { answer } from "./output.ts";

export async function doctorMachine(command: Command): Promise<void> {
  await Promise.resolve();
  answer(command, {}, []);
}
