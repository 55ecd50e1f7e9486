import type { Booted } from "./container.ts";
import { CannotRun } from "./system.ts";

export function bootMachine(_folder: string, _root: string): Booted {
  throw new CannotRun("not yet");
}
