/** What keeps pods from running, by the words that it is told in, and what an admin does about it. */
const REMEDIES: readonly (readonly [words: RegExp, remedy: (server: string) => string])[] = [
  [
    /no room for its pod/,
    () =>
      "raise the quota of the namespace (kubectl describe quota), or set kubernetes.maxPods below it",
  ],
  [
    /RuntimeClass/,
    (server) =>
      `let the cluster have that RuntimeClass (kubectl get runtimeclass), or change runtimeClass of servers.${server}.kubernetes`,
  ],
  [
    /role lacks a right/,
    () => "apply the role of deploy/kubernetes to the account that the daemon has in the cluster",
  ],
  [
    /Pod Security|admission policy/,
    () =>
      "let the policy that is named admit pods of the namespace: what they ask for is in docs/kubernetes.md",
  ],
  [
    /no such namespace/,
    () => "apply deploy/kubernetes, or change kubernetes.namespace in the config",
  ],
  [
    /image cannot be pulled/,
    (server) =>
      `look at image, shimImage and pullSecrets of servers.${server}.kubernetes: the name may be wrong, or the registry wants a secret`,
  ],
  [
    /no node takes it/,
    (server) =>
      `add nodes, or change requests, nodeSelector or tolerations of servers.${server}.kubernetes`,
  ],
  [
    /does not answer|cannot be reached/,
    () =>
      "run the daemon where it reaches the addresses of pods (in the cluster, or on a machine that has routes to them), and let network policies pass its calls of port 8443",
  ],
  [
    /UNKNOWN_PROTOCOL/,
    () =>
      "write the shim's image with this version (mcp-supervisor kubernetes image), load or push it, and name it in kubernetes.shimImage",
  ],
  [
    /STALE_EPOCH/,
    () =>
      "another daemon of this installation has taken the pods over: end one of the two, or restart this one to take them back",
  ],
];

/** For a reason that a pod's failure or wait is told with; undefined where it says nothing of the cluster. */
export const podRemedy = (reason: string, server: string): string | undefined =>
  REMEDIES.find(([words]) => words.test(reason))?.[1](server);
