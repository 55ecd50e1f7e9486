import type { Config } from "../config/config.ts";
import { headerSecrets } from "../config/header-secrets.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";

/** A function that removes from logs what these servers are sent in headers, in place of what it was given before. */
export function headerHider(scrubber: Scrubber): (servers: Config["servers"]) => void {
  let names: string[] = [];
  return (servers) => {
    const secrets = new Map(
      Object.entries(servers).flatMap(([server, definition]) =>
        headerSecrets(definition).map((secret, index) => [`header ${server} ${index}`, secret]),
      ),
    );
    for (const name of names) if (!secrets.has(name)) scrubber.delete(name);
    for (const [name, secret] of secrets) scrubber.set(name, secret);
    names = [...secrets.keys()];
  };
}
