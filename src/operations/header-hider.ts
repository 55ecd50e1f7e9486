import type { Config } from "../config/config.ts";
import { headerSecrets } from "../config/header-secrets.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";

/**
 * Removes from logs what these servers are sent in headers. Gives a function that does so for others,
 * in the place of those it was given before.
 */
export function headerHider(
  scrubber: Scrubber,
  first: Config["servers"],
): (servers: Config["servers"]) => void {
  let names: string[] = [];
  const hide = (servers: Config["servers"]): void => {
    const secrets = new Map(
      Object.entries(servers).flatMap(([server, definition]) =>
        headerSecrets(definition).map((secret, index) => [`header ${server} ${index}`, secret]),
      ),
    );
    for (const name of names) if (!secrets.has(name)) scrubber.delete(name);
    for (const [name, secret] of secrets) scrubber.set(name, secret);
    names = [...secrets.keys()];
  };
  hide(first);
  return hide;
}
