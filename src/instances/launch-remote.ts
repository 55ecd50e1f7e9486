import type { RemoteServer } from "../config/config.ts";
import type { InstanceContext } from "./instance-context.ts";
import type { Generation } from "./generation.ts";
import type { HttpTarget } from "../links/target.ts";
import type { Launched } from "./launch-types.ts";

/** As `launchChild`, for a server that runs elsewhere already. Rejects as its engine does. */
export async function launchRemote(
  { engines, secretsFor }: InstanceContext,
  generation: Pick<Generation, "ref" | "takeToken">,
  def: RemoteServer,
  signal: AbortSignal,
): Promise<Omit<Launched, "broken" | "exposed">> {
  const { ref } = generation;
  const token = generation.takeToken(secretsFor);
  const running = await engines.remote.start({ ref, def, token }, { onLine: () => {}, signal });
  signal.throwIfAborted();
  const { endpoint, output } = running;
  if (endpoint.kind !== "url") throw new TypeError(`a remote server has a ${endpoint.kind}`);
  const { transport } = def;
  const { url, headers } = endpoint;
  const target: HttpTarget = { transport, url, headers, isRemote: true, socketPath: null, output };
  return { isReady: true, running, target };
}
