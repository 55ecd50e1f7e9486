import type { ServerDef } from "../config/config.ts";
import { headerSecrets } from "../config/header-secrets.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";

/**
 * Removes from logs what these servers are sent in headers. Gives a function that does so for others,
 * in the place of those it was given before.
 */
export function headerHider(
  scrubber: Scrubber,
  first: readonly ServerDef[],
): (servers: readonly ServerDef[]) => void {
  let names: string[] = [];
  const hide = (servers: readonly ServerDef[]): void => {
    const secrets = new Map(
      servers.flatMap((def) =>
        headerSecrets(def).map((secret, index) => [`header ${def.name} ${index}`, secret]),
      ),
    );
    for (const name of names) if (!secrets.has(name)) scrubber.delete(name);
    for (const [name, secret] of secrets) scrubber.set(name, secret);
    names = [...secrets.keys()];
  };
  hide(first);
  return hide;
}
