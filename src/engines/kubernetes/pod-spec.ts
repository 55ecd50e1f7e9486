import type { ChildServer, PodRecipe } from "../../config/config.ts";
import type { PodSettings } from "../../config/types.ts";
import type { Ref } from "../engine.ts";
import { ANNOTATIONS, LABELS } from "./names.ts";

/** Where the shim listens, in every pod. */
export const SHIM_PORT = 8443;
/** Where a server over SSE or HTTP is to listen: a pod has ports of its own. */
export const CHILD_PORT = 8000;
/** The child's private folders. */
export const HOME = "/home/mcp";
export const TMP = "/tmp";

const SHIM_FOLDER = "/mcp-supervisor";
const KEYS_FOLDER = "/run/mcp-supervisor/keys";
const CHILD = "child";
/** A home and what is temporary have so much each, where there is no volume for it. */
const FOLDER_LIMIT = "512Mi";
/** The shim ends the child within `drainTimeout`; the kubelet waits so much longer. */
const GRACE_SECONDS = 5;

export interface PodSpecInput {
  readonly name: string;
  readonly installation: string;
  readonly ref: Ref;
  readonly generation: number;
  readonly def: ChildServer;
  readonly recipe: PodRecipe;
  /** The account that the child runs as; undefined for the cluster's choice. */
  readonly uid: number | undefined;
  /** The volume with the home; undefined where that goes with the pod. */
  readonly homeClaim: string | undefined;
}

/** The Pod of one generation, as the apiserver is to be given it. Nothing in it is a secret. */
export function podSpec(input: PodSpecInput): object {
  const { name, installation, ref, generation, def, recipe, uid } = input;
  const labels = {
    [LABELS.installation]: installation,
    [LABELS.role]: CHILD,
    [LABELS.network]: def.network,
    [LABELS.server]: ref.server,
  };
  const annotations = {
    [ANNOTATIONS.user]: ref.user,
    [ANNOTATIONS.server]: ref.server,
    [ANNOTATIONS.variant]: ref.variant,
    [ANNOTATIONS.generation]: String(generation),
    [ANNOTATIONS.orphanTimeout]: String(recipe.orphanTimeoutMs),
    // A pod without a controller keeps its node otherwise; ours is replaced when its node goes.
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
  };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels, annotations },
    spec: {
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: Math.ceil(def.drainTimeoutMs / 1000) + GRACE_SECONDS,
      securityContext: accountOf(uid),
      ...placement(recipe),
      initContainers: [shimContainer(def, recipe)],
      containers: [childContainer(def, recipe)],
      volumes: volumesOf(input),
    },
  };
}

/** Pod Security `restricted` asks for it of the pod, or of each container. */
const accountOf = (uid: number | undefined): object => ({
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
  ...(uid !== undefined && { runAsUser: uid, runAsGroup: uid, fsGroup: uid }),
});

const CONFINED = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

function placement(recipe: PodSettings): object {
  const { pullSecrets, runtimeClass, nodeSelector, tolerations } = recipe;
  return {
    nodeSelector,
    tolerations: [...tolerations, ...lostNodeTolerations(recipe)],
    ...(pullSecrets.length > 0 && { imagePullSecrets: pullSecrets.map((name) => ({ name })) }),
    ...(runtimeClass !== null && { runtimeClassName: runtimeClass }),
  };
}

/** On a node that is lost the child ends by itself after that time: its Pod is of no use any longer. */
function lostNodeTolerations({ tolerations, orphanTimeoutMs }: PodSettings): object[] {
  const keys = ["not-ready", "unreachable"].map((name) => `node.kubernetes.io/${name}`);
  const tolerationSeconds = Math.ceil(orphanTimeoutMs / 1000);
  return keys
    .filter((key) => !tolerations.some((own) => own.key === undefined || own.key === key))
    .map((key) => ({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds }));
}

/** Copies the shim in, so that images of servers stay as they are. */
const shimContainer = (def: ChildServer, recipe: PodRecipe): object => ({
  name: "shim",
  image: recipe.shimImage,
  ...pullPolicyOf(recipe),
  command: ["/shim", "copy", `${SHIM_FOLDER}/shim`],
  resources: resourcesOf(def, recipe),
  securityContext: CONFINED,
  volumeMounts: [{ name: "shim", mountPath: SHIM_FOLDER }],
});

const childContainer = (def: ChildServer, recipe: PodRecipe): object => ({
  name: CHILD,
  image: recipe.image,
  ...pullPolicyOf(recipe),
  command: [
    `${SHIM_FOLDER}/shim`,
    "serve",
    `--keys=${KEYS_FOLDER}`,
    `--listen=:${SHIM_PORT}`,
    `--orphan=${recipe.orphanTimeoutMs}ms`,
  ],
  ports: [{ name: "shim", containerPort: SHIM_PORT }],
  resources: resourcesOf(def, recipe),
  securityContext: CONFINED,
  volumeMounts: [
    { name: "shim", mountPath: SHIM_FOLDER, readOnly: true },
    { name: "keys", mountPath: KEYS_FOLDER, readOnly: true },
    { name: "home", mountPath: HOME },
    { name: "tmp", mountPath: TMP },
  ],
});

const pullPolicyOf = ({ pullPolicy }: PodSettings): object =>
  pullPolicy === null ? {} : { imagePullPolicy: pullPolicy };

function resourcesOf({ limits }: ChildServer, { requests }: PodRecipe): object {
  const { memoryBytes, cpu } = limits;
  return {
    requests: { memory: String(requests.memoryBytes), cpu: cores(requests.cpu) },
    limits: {
      ...(memoryBytes !== undefined && { memory: String(memoryBytes) }),
      ...(cpu !== undefined && { cpu: cores(cpu) }),
    },
  };
}

export interface TrialPodInput {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly recipe: PodSettings;
  /** After so long the cluster ends it. */
  readonly seconds: number;
}

/** A throw-away pod that runs a command of the shim's image, where those of children run. */
export const trialPod = ({ name, labels, command, recipe, seconds }: TrialPodInput): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, labels },
  spec: {
    restartPolicy: "Never",
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    activeDeadlineSeconds: seconds,
    securityContext: accountOf(undefined),
    ...placement(recipe),
    containers: [
      {
        name: "trial",
        image: recipe.shimImage,
        ...pullPolicyOf(recipe),
        command,
        resources: { requests: LITTLE, limits: { memory: "64Mi" } },
        securityContext: CONFINED,
      },
    ],
  },
});
const LITTLE = { memory: "16Mi", cpu: "10m" };

/** In thousandths of a core, of which there is no part. */
const cores = (count: number): string => `${Math.max(1, Math.round(count * 1000))}m`;

function volumesOf({ name, uid, homeClaim }: PodSpecInput): object[] {
  const emptyDir = { sizeLimit: FOLDER_LIMIT };
  // Read by the child's group where it has one of its own; there is nobody else in the pod.
  const defaultMode = uid === undefined ? 0o444 : 0o440;
  const home =
    homeClaim === undefined ? { emptyDir } : { persistentVolumeClaim: { claimName: homeClaim } };
  return [
    { name: "shim", emptyDir: { sizeLimit: "32Mi" } },
    { name: "keys", secret: { secretName: name, defaultMode } },
    { name: "home", ...home },
    { name: "tmp", emptyDir },
  ];
}

export interface KeySecretInput {
  readonly pod: { readonly name: string; readonly uid: string };
  readonly installation: string;
  /** PEM texts by the name of their file. */
  readonly files: Readonly<Record<string, string>>;
}

/** The Secret with a pod's server key. It is made after its Pod, which owns it: whatever ends in between leaves none behind. */
export const keySecret = ({ pod, installation, files }: KeySecretInput): object => ({
  apiVersion: "v1",
  kind: "Secret",
  type: "Opaque",
  immutable: true,
  metadata: {
    name: pod.name,
    labels: { [LABELS.installation]: installation },
    ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: pod.name, uid: pod.uid }],
  },
  data: Object.fromEntries(
    Object.entries(files).map(([file, text]) => [file, Buffer.from(text).toString("base64")]),
  ),
});

export interface HomeClaimInput {
  readonly name: string;
  readonly installation: string;
  readonly ref: Pick<Ref, "user" | "server">;
  readonly home: NonNullable<PodRecipe["home"]>;
}

/** The volume for the home of a user's children of one server. */
export const homeClaim = ({ name, installation, ref, home }: HomeClaimInput): object => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: {
    name,
    labels: { [LABELS.installation]: installation },
    annotations: { [ANNOTATIONS.user]: ref.user, [ANNOTATIONS.server]: ref.server },
  },
  spec: {
    accessModes: ["ReadWriteOnce"],
    resources: { requests: { storage: String(home.sizeBytes) } },
    ...(home.storageClass !== null && { storageClassName: home.storageClass }),
  },
});
