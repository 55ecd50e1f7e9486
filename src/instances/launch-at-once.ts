import type { BuiltinServer, RemoteServer } from "../config/config.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { Generation } from "./generation.ts";
import type { Running } from "../engines/engine.ts";
import type { HttpTarget, Target } from "../links/target.ts";
import type { Launching } from "./launch-types.ts";

/** As `launchChild`, for a server that is there already. Rejects as its engine does. */
export async function launchAtOnce(
  { engines, secretsFor }: InstanceContext,
  generation: Pick<Generation, "ref" | "takeToken">,
  def: RemoteServer | BuiltinServer,
  signal: AbortSignal,
): Promise<Launching> {
  const { ref } = generation;
  const token = await generation.takeToken(secretsFor, signal);
  const options = { onLine: () => {}, signal };
  const running =
    def.kind === "remote"
      ? await engines.remote.start({ ref, def, token }, options)
      : await engines.builtin.start({ ref, def, token }, options);
  signal.throwIfAborted();
  return { running, target: targetOf(running, def) };
}

function targetOf({ endpoint, output }: Running, def: RemoteServer | BuiltinServer): Target {
  if (endpoint.kind === "builtin") return { transport: "builtin", server: endpoint.server };
  if (endpoint.kind !== "url" || def.kind !== "remote")
    throw new TypeError(`a ${def.kind} server has a ${endpoint.kind}`);
  const target: HttpTarget = {
    transport: def.transport,
    url: endpoint.url,
    get headers() {
      return endpoint.headers;
    },
    isRemote: true,
    reach: def.isPublicOnly === true ? "public" : "any",
    socketPath: null,
    output,
  };
  return target;
}
