import type { ServerDef } from "./types.ts";

/** What these say of a request is no secret, and stands in half of all logs. */
const HARMLESS = /^(?:accept(?:-.*)?|content-type|user-agent|cache-control)$/i;
const PLACEHOLDERS = /\$\{[^}]*\}/;
const SCHEME = /^\s*(?:bearer|basic|token|apikey)\s+/i;

/**
 * What stands in the headers of a remote as it is: a key in the config, mostly. Without the scheme it
 * is looked for too. Of a child what its environment holds, where that is secret.
 */
export function headerSecrets(server: ServerDef): string[] {
  if (server.kind === "child" && server.hasSecretEnv === true) return Object.values(server.env);
  if (server.kind !== "remote") return [];
  return Object.entries(server.headers).flatMap(([name, value]) =>
    HARMLESS.test(name)
      ? []
      : value
          .split(PLACEHOLDERS)
          .map((text) => text.replace(SCHEME, "").trim())
          .filter((text) => text !== ""),
  );
}
