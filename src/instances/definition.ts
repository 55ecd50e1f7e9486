import { hash } from "node:crypto";
import { runAs } from "../config/compare.ts";
import type { ChildServer, ServerDef } from "../config/config.ts";

/** What is known of server definitions beyond this life of the daemon. */
export interface DefinitionMemory {
  find(definition: string): string | undefined;
  keep(definition: string, text: string): void;
}

/** Remembers what it is told, and only while it lives. */
export function forgetful(): DefinitionMemory {
  const known = new Map<string, string>();
  return { find: (name) => known.get(name), keep: (name, text) => void known.set(name, text) };
}

const digestOf = (value: unknown): string => hash("sha256", JSON.stringify(value), "hex");

/** The same for two users and two daemons, and no way back to what stands in it. */
export function definitionOf({ command, args, cwd, env, pod }: ChildServer): string {
  const program = pod === undefined ? [cwd] : [pod.cwd, pod.image];
  return digestOf([command, args, ...program, Object.entries(env)]);
}

/** Another one with every change for which its children have to be others. */
export const revisionOf = (def: ServerDef): string => digestOf(runAs(def));
