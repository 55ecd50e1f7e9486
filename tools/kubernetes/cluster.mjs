// A real Kubernetes cluster of two nodes on this machine, for tests. Root on Linux; no image registry.
//   node tools/kubernetes/cluster.mjs build               its programs, into the cache (once; up to 25 minutes)
//   … up | down                                           starts it, ends it and all that ran in it
//   … images                                              those that the tests use, made and loaded
//   … load FILE…                                          others, as OCI archives, onto both nodes
//   … policies                                            from now on network policies are enforced
//   … cut NODE | heal NODE                                unplugs a node's network
//   … end NAME [SIGNAL] | start NAME                      one of its programs: apiserver, kubelet-n1, …
//   … run COMMAND…                                        in the network of the control plane, where the gateway belongs
//   … left                                                what is there of it; exits 1 if that is anything
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import { build, missingBuilds } from "./build.mjs";
import { makeCertificates } from "./certificates.mjs";
import { leftCgroups, makeCgroups, pidsOfCluster, removeCgroups } from "./cgroups.mjs";
import { startControlPlane } from "./control-plane.mjs";
import { makeImages, makePauseImage } from "./images.mjs";
import { leftNamespaces, makeNetwork, removeNetwork, setPlugged } from "./network.mjs";
import { enforcePolicies, load, startNodes } from "./node.mjs";
import { CONTROL_PLANE, KUBECONFIG, NODES, RUN, namespaceFile } from "./places.mjs";
import { end, endAll, startAgain } from "./processes.mjs";
import { whyNoCluster } from "./programs.mjs";

const left = () => [
  ...pidsOfCluster().map((pid) => `process ${pid}`),
  ...leftCgroups().map((folder) => `cgroup ${folder}`),
  ...leftNamespaces().map((name) => `network namespace ${name}`),
];

/** Mounts and pods' own networks go with the processes, because they are in the nodes' own mount namespaces. */
async function down() {
  await endAll();
  removeNetwork();
  removeCgroups();
  rmSync(RUN, { recursive: true, force: true });
}

async function up() {
  const why = whyNoCluster();
  if (why !== null) throw new Error(why);
  const missing = missingBuilds();
  if (missing.length > 0)
    throw new Error(`not built yet: ${missing.join(", ")} (cluster.mjs build does it)`);
  // What an earlier one left, which may have been killed.
  await down();
  const startedAt = performance.now();
  const since = () => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  try {
    mkdirSync(RUN, { recursive: true, mode: 0o700 });
    makeCgroups();
    makeNetwork();
    makeCertificates();
    await startControlPlane();
    console.error(`control plane after ${since()}`);
    await startNodes(makePauseImage());
    console.error(`two nodes ready after ${since()}; KUBECONFIG=${KUBECONFIG}`);
  } catch (error) {
    if (process.env.KEEP_CLUSTER === undefined) await down();
    throw error;
  }
}

async function runInside(argv) {
  const enter = [`--net=${namespaceFile(CONTROL_PLANE.namespace)}`];
  const child = spawn("nsenter", [...enter, ...argv], {
    stdio: "inherit",
    env: { ...process.env, KUBECONFIG },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => child.kill(signal));
  const [code] = await once(child, "exit");
  process.exitCode = code ?? 1;
}

function loadAll(files) {
  for (const file of files) for (const node of NODES) load(node, file);
}

const COMMANDS = {
  build: () => build(),
  up,
  down,
  load: loadAll,
  images: () => loadAll(makeImages()),
  policies: enforcePolicies,
  cut: ([name]) => setPlugged(name, false),
  heal: ([name]) => setPlugged(name, true),
  end: ([name, signal]) => end(name, signal),
  start: ([name]) => startAgain(name),
  run: runInside,
  left: () => {
    const found = left();
    if (found.length > 0) process.exitCode = 1;
    for (const line of found) console.log(line);
  },
};

const [word, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(COMMANDS, word ?? "")) {
  console.error(`usage: cluster.mjs ${Object.keys(COMMANDS).join("|")}`);
  process.exit(2);
}
try {
  await COMMANDS[word](rest);
} catch (error) {
  console.error(`cluster: ${error.message}${error.stderr ? `\n${error.stderr}` : ""}`);
  process.exit(1);
}
