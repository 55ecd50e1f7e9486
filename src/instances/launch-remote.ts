import type { RemoteServer } from "../config/config.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { Generation } from "./generation.ts";
import type { HttpTarget } from "../links/target.ts";
import type { Launching } from "./launch-types.ts";

/** As `launchChild`, for a server that runs elsewhere already. Rejects as its engine does. */
export async function launchRemote(
  { engines, secretsFor }: InstanceContext,
  generation: Pick<Generation, "ref" | "takeToken">,
  def: RemoteServer,
  signal: AbortSignal,
): Promise<Launching> {
  const { ref } = generation;
  const token = await generation.takeToken(secretsFor, signal);
  const running = await engines.remote.start({ ref, def, token }, { onLine: () => {}, signal });
  signal.throwIfAborted();
  const { endpoint, output } = running;
  if (endpoint.kind !== "url") throw new TypeError(`a remote server has a ${endpoint.kind}`);
  const { transport } = def;
  const target: HttpTarget = {
    transport,
    url: endpoint.url,
    get headers() {
      return endpoint.headers;
    },
    isRemote: true,
    socketPath: null,
    output,
  };
  return { running, target };
}
