import { ERROR_CODES } from "../errors.ts";
import type { SupervisorError } from "../errors.ts";
import type { Found } from "./choice.ts";

/** All tools of a user's servers. */
export interface ToolList {
  /** JSON text of each, as its server wrote it, with `servers` beside it. */
  readonly tools: readonly string[];
  /** Servers that could not be asked. */
  readonly errors: readonly { readonly server: string; readonly message: string }[];
}

/** A user's server, without a secret. */
export interface ServerRow {
  name: string;
  slug: string;
  /** What it speaks, or `builtin`. */
  type: string;
  state: string;
  /** The names of its tools; null where they are not known. */
  tools: string[] | null;
  error?: string;
}

/** Those of the default server first; a tool that several define alike stands there once. */
export function listOf(found: readonly Found[], defaultServer: string | null): ToolList {
  const rank = ({ target: { server } }: Found): string =>
    `${server.name === defaultServer ? 0 : 1}${server.name}`;
  const sorted = found.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1));
  const byDigest = new Map<string, { json: string; servers: string[] }>();
  const errors: ToolList["errors"][number][] = [];
  for (const one of sorted) {
    const server = one.target.server.name;
    if ("failure" in one) {
      errors.push({ server, message: shownOf(one.failure) });
      continue;
    }
    for (const { digest, json } of one.offer.values()) {
      const known = byDigest.get(digest);
      if (known === undefined) byDigest.set(digest, { json, servers: [server] });
      else known.servers.push(server);
    }
  }
  return { tools: Array.from(byDigest.values(), withServers), errors };
}

const shownOf = ({ code, message }: SupervisorError): string =>
  ERROR_CODES[code].expose ? message : "something failed here";

/** Last, so that it counts where a server has written one of its own. */
const withServers = ({ json, servers }: { json: string; servers: string[] }): string =>
  `${json.slice(0, json.lastIndexOf("}"))},"servers":${JSON.stringify(servers)}}`;
