import { SupervisorError } from "../errors.ts";
import type { ServerDef } from "../config/config.ts";
import type { CallTarget } from "../sessions/call-links.ts";
import type { Offer } from "./offer.ts";

/** What is known of one server when a tool is looked for. */
export type Found = { readonly target: CallTarget } & (
  | { readonly offer: Offer; readonly isFresh: boolean }
  /** Nobody can say which tools it has. */
  | { readonly failure: SupervisorError }
);

/** The server that a caller means by that: its slug, else its name or its URL, as they were written down. */
export const calledIn = (servers: readonly ServerDef[], said: string): ServerDef | undefined =>
  servers.find(({ name }) => name === said) ??
  servers.find(({ title }) => title === said) ??
  servers.find((server) => server.kind === "remote" && server.url === said);

export const toolNotFound = (tool: string): SupervisorError =>
  new SupervisorError("TOOL_NOT_FOUND", `there is no tool ${JSON.stringify(tool.slice(0, 100))}`);

/**
 * The servers that may have the call, which are one where their definitions of the tool differ: that
 * of the default server, else of the first by name. Two servers with a tool of the same name are not
 * the same; replicas are.
 */
export function replicasOf(
  found: readonly Found[],
  tool: string,
  defaultServer: string | null,
): CallTarget[] {
  const having = found.flatMap((one) => {
    const digest = "offer" in one ? one.offer.get(tool)?.digest : undefined;
    return digest === undefined ? [] : [{ target: one.target, digest }];
  });
  const sorted = having.toSorted((a, b) => (nameOf(a.target) < nameOf(b.target) ? -1 : 1));
  const lead = sorted.find(({ target }) => nameOf(target) === defaultServer) ?? sorted[0];
  return sorted.filter(({ digest }) => digest === lead?.digest).map(({ target }) => target);
}

const nameOf = ({ server }: CallTarget): string => server.name;

/** Why no server can have the call: none has the tool, or some cannot be asked. */
export function whyNone(found: readonly Found[], tool: string): SupervisorError {
  const failure = found.flatMap((one) => ("failure" in one ? [one.failure] : []))[0];
  return failure ?? toolNotFound(tool);
}
