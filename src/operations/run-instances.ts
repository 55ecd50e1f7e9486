import { SupervisorError } from "../errors.ts";
import type { Registry } from "../auth/registry.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import { allThere } from "../instances/all-there.ts";
import type { Instance, Ref, Selector, Supervisor } from "../instances/supervisor.ts";

export interface RunParts {
  config: Pick<Config, "defaultServer">;
  catalog: Pick<Catalog, "findFor">;
  registry: Pick<Registry, "requireUser">;
  supervisor: Pick<Supervisor, "ensure" | "forgive" | "handOver" | "list" | "restart" | "stop"> & {
    instance: (ref: Ref) => Pick<Instance, "ensure">;
  };
}

/** A user's instances: those of one server, or what each order does without one. */
export interface RunSubject {
  user: string;
  server: string | undefined;
}

/**
 * Starts the user's instance of the server, the default one where none is named. Each of these orders
 * resolves with the instances that it was about, once they are as ordered; USER_DISABLED where it
 * would start a disabled user's, else it rejects as `Supervisor.ensure` and `Supervisor.stop` do.
 */
export async function startInstance(parts: RunParts, subject: RunSubject): Promise<Ref[]> {
  requireEnabled(parts, subject);
  const ref = defaultOf(parts, subject);
  parts.supervisor.forgive({ user: ref.user, server: ref.server });
  await parts.supervisor.ensure(ref);
  return [ref];
}

/** Ends what runs of this user and server, of all where none is named; the next message starts it again. */
export async function stopInstances(
  parts: Pick<RunParts, "supervisor">,
  selector: Selector,
): Promise<Ref[]> {
  const refs = runningOf(parts, selector);
  await parts.supervisor.stop(selector, "stopped by an admin");
  return refs;
}

/**
 * Replaces the instances that run, and starts the one of the server (or the default one) where none
 * does. With `isGraceful` each serves until another can take over, and goes on where that fails; see
 * `Supervisor.handOver`.
 */
export async function restartInstances(
  parts: RunParts,
  subject: RunSubject,
  isGraceful: boolean,
): Promise<Ref[]> {
  requireEnabled(parts, subject);
  const found = runningOf(parts, subject);
  const refs = found.length > 0 ? found : [defaultOf(parts, subject)];
  // Their handles: what is removed with its session meanwhile is not to begin anew.
  const instances = refs.map((ref) => parts.supervisor.instance(ref));
  const reason = "restarted by an admin";
  if (isGraceful) await parts.supervisor.handOver(subject, reason);
  else await parts.supervisor.restart(subject, reason);
  await allThere(instances.map((instance) => instance.ensure()));
  return refs;
}

/** A disabled user's children stay off, whoever gives the order. */
function requireEnabled({ registry }: RunParts, { user }: RunSubject): void {
  if (registry.requireUser(user).state === "disabled")
    throw new SupervisorError("USER_DISABLED", "the user is disabled");
}

const runningOf = ({ supervisor }: Pick<RunParts, "supervisor">, selector: Selector): Ref[] =>
  supervisor.list(selector).filter(({ state }) => state !== "stopped");

function defaultOf({ config, catalog }: RunParts, { user, server }: RunSubject): Ref {
  const name = server ?? config.defaultServer;
  if (name !== null && catalog.findFor(user, name) !== undefined)
    return { user, server: name, variant: "" };
  if (name !== null)
    throw new SupervisorError("SERVER_NOT_FOUND", "the server is not granted to this user");
  throw new SupervisorError("SERVER_NOT_FOUND", "there is no default server: name one");
}
