import type { ParsedKubernetes, ParsedPodKeys } from "./kubernetes-schema.ts";
import type { ParsedServer } from "./schema.ts";
import type { KubernetesConfig, PodRecipe, PodSettings } from "./types.ts";

/** What a pod asks for where nobody says otherwise. */
const LEAST = { memoryBytes: 64 * 1024 ** 2, cpu: 0.01 };

/** The keys as they are in the config, in our units. */
function settingsIn(keys: ParsedPodKeys): Partial<PodSettings> {
  const { requests: _requests, home, pendingTimeout, orphanTimeout, ...others } = keys;
  const storage = home && { sizeBytes: home.size, storageClass: home.storageClass ?? null };
  return {
    ...others,
    ...(storage !== undefined && { home: storage }),
    ...(pendingTimeout !== undefined && { pendingTimeoutMs: pendingTimeout }),
    ...(orphanTimeout !== undefined && { orphanTimeoutMs: orphanTimeout }),
  };
}

const requestsIn = (
  { requests }: ParsedPodKeys,
  otherwise: PodSettings["requests"],
): PodSettings["requests"] => ({
  memoryBytes: requests?.memory ?? otherwise.memoryBytes,
  cpu: requests?.cpu ?? otherwise.cpu,
});

export function resolveKubernetes(
  parsed: ParsedKubernetes,
  absolute: (file: string) => string,
): KubernetesConfig {
  const { namespace, kubeconfig, context, maxPods, ...ofPods } = parsed;
  const { image, ...keys } = ofPods;
  return {
    namespace,
    kubeconfig: kubeconfig === null ? null : absolute(kubeconfig),
    context,
    maxPods,
    ...(settingsIn(keys) as PodSettings),
    requests: requestsIn(keys, LEAST),
    image,
  };
}

type ParsedProgram = Extract<ParsedServer, { command: string }>;

/** How a server's pods are made: as it says, else as the config does. There is an image; relations.ts sees to it. */
export function podRecipe(server: ParsedProgram, config: KubernetesConfig): PodRecipe {
  const { namespace: _n, kubeconfig: _k, context: _c, maxPods: _m, ...forAll } = config;
  const { kubernetes: own = {}, cwd = null, limits } = server;
  const { memoryBytes, cpu } = requestsIn(own, forAll.requests);
  const { image, ...settings } = { ...forAll, ...settingsIn(own) };
  return {
    ...settings,
    image: image!,
    cwd,
    // A pod that asks for more than it may have is refused.
    requests: {
      memoryBytes: Math.min(memoryBytes, limits.memory ?? Infinity),
      cpu: Math.min(cpu, limits.cpu ?? Infinity),
    },
  };
}
