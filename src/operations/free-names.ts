import type { Catalog, Origin } from "../catalog/catalog.ts";
import { SupervisorError, counted } from "../errors.ts";

/** What has the servers of an origin. */
export const ORIGIN_NAMES: Record<Origin, string> = {
  config: "the config",
  environment: "the environment",
  rest: "the control API",
};

/** CONFIG_INVALID of that file, with all that is wrong as details. */
export const configInvalid = (path: string | null, details: readonly string[]): SupervisorError =>
  new SupervisorError(
    "CONFIG_INVALID",
    `${path ?? "the config"}: ${counted(details.length, "problem")}`,
    { details },
  );

/** A name means one server, wherever that is from: CONFIG_INVALID where another origin has one of these. */
export function requireFreeNames(
  catalog: Catalog,
  origin: Origin,
  path: string | null,
  names: readonly string[],
): void {
  const taken = catalog.takenFrom(origin, names);
  if (taken.length === 0) return;
  const lines = taken.map(({ name, by }) => {
    const other = by === "config" ? origin : by;
    return `servers.${name}: is the name of a server that ${ORIGIN_NAMES[other]} has already; take another here, or remove that one`;
  });
  throw configInvalid(path, lines);
}
