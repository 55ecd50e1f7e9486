import { z } from "zod";
import { count, duration, size } from "./scalars.ts";
import { filePath } from "./strings.ts";

/** Names of Kubernetes: of a namespace, and of what may have dots in its name. */
const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/;
const LABEL_KEY =
  /^(?:(?=.{1,253}\/)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?\/)?(?=[^/]{1,63}$)[A-Za-z0-9](?:[-\w.]*[A-Za-z0-9])?$/;
const LABEL_VALUE = /^(?:(?=.{1,63}$)[A-Za-z0-9](?:[-\w.]*[A-Za-z0-9])?)?$/;

const named = (what: string) =>
  z.string().regex(SUBDOMAIN, `must be the name of ${what}: lower-case letters, digits, - and .`);

const labelKey = z.string().regex(LABEL_KEY, "must be the key of a label");
const labelValue = z.string().regex(LABEL_VALUE, "must be the value of a label");

/** Whether the text can stand as the value of a label, by which policies of the cluster choose. */
export const isLabelValue = (text: string): boolean => LABEL_VALUE.test(text);

const image = z
  .string()
  .regex(
    /^[A-Za-z0-9][\w./:@-]{0,511}$/,
    'must be the name of an image such as "registry.example.com/mcp/gmail:1.2"',
  );

const toleration = z.strictObject({
  key: labelKey.optional(),
  operator: z.enum(["Exists", "Equal"]).optional(),
  value: labelValue.optional(),
  effect: z.enum(["NoSchedule", "PreferNoSchedule", "NoExecute"]).optional(),
  tolerationSeconds: z.int().min(0).optional(),
});

const SHORTEST_ORPHAN_MS = 5000;

/** What a server may set for its own pods; where it does not, the config's is taken. */
const ofPods = {
  shimImage: image.describe(
    "the image that `kubernetes image` wrote, as the cluster's nodes find it",
  ),
  image: image.describe("what a server's pods are made of, with its programs in it"),
  pullSecrets: z
    .array(named("a Secret"))
    .describe("names of the Secrets that images are pulled with"),
  pullPolicy: z
    .enum(["Always", "IfNotPresent", "Never"])
    .nullable()
    .describe("when images are pulled; the cluster's choice unless set"),
  runtimeClass: named("a RuntimeClass")
    .nullable()
    .describe(
      "the RuntimeClass of the pods, such as that of gVisor; the cluster's usual one unless set",
    ),
  nodeSelector: z.record(labelKey, labelValue).describe("labels of the nodes that pods may run on"),
  tolerations: z
    .array(toleration)
    .describe("taints of nodes that pods bear, as in a Pod: `key`, `operator`, `value`, `effect`"),
  requests: z
    .strictObject({
      memory: size.optional(),
      cpu: z.number().positive().optional(),
    })
    .describe(
      "what a node has to have left for a pod: `memory` (64M unless set) and `cpu` (0.01), never more than the server's `limits`",
    ),
  home: z
    .strictObject({
      size: size,
      storageClass: named("a StorageClass").optional(),
    })
    .nullable()
    .describe(
      '`{ "size": "1G", "storageClass": … }`: a volume for each user and server, which outlives their pods and means `"overlap": false`; without one a pod\'s home goes with it',
    ),
  startConcurrency: count.describe(
    "pods that are started at a time; of a server: those of that server",
  ),
  pendingTimeout: duration().describe(
    "how long a pod may wait for a node or its image before it is given up",
  ),
  orphanTimeout: duration()
    .refine((ms) => ms >= SHORTEST_ORPHAN_MS, "must be at least 5s")
    .describe(
      "a child ends itself when it has heard nothing of the daemon for so long; as long has a successor to wait for one that cannot be reached",
    ),
  networkPolicy: z
    .enum(["proven", "assumed"])
    .describe(
      'whether the cluster enforces network policies: `proven` tries it out, and refuses `"network": "none"` where it does not; `assumed` takes your word',
    ),
};

/** A server's own `kubernetes`. */
export const podKeys = z.strictObject(ofPods).partial();

/** The config's `kubernetes`: which cluster, and what holds for all its pods. */
export const kubernetes = z.strictObject({
  namespace: z
    .string()
    .regex(LABEL, "must be the name of a namespace: lower-case letters, digits and -")
    .describe("the namespace of the pods, in which nothing else is, the daemon neither"),
  kubeconfig: filePath
    .nullable()
    .default(null)
    .describe(
      "the file that leads to the cluster; unless set, the daemon is in a pod of the cluster itself",
    ),
  context: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe("the context of that file; its current one unless set"),
  maxPods: count.default(1000).describe("pods at a time"),
  ...ofPods,
  image: ofPods.image.nullable().default(null).describe("the image of servers that name none"),
  pullSecrets: ofPods.pullSecrets.default([]),
  pullPolicy: ofPods.pullPolicy.default(null),
  runtimeClass: ofPods.runtimeClass.default(null),
  nodeSelector: ofPods.nodeSelector.default({}),
  tolerations: ofPods.tolerations.default([]),
  requests: ofPods.requests.prefault({}),
  home: ofPods.home.default(null),
  startConcurrency: ofPods.startConcurrency.default(16),
  pendingTimeout: ofPods.pendingTimeout.prefault("5m"),
  orphanTimeout: ofPods.orphanTimeout.prefault("60s"),
  networkPolicy: ofPods.networkPolicy.default("proven"),
});

export type ParsedKubernetes = z.output<typeof kubernetes>;
export type ParsedPodKeys = z.output<typeof podKeys>;
export type Toleration = z.output<typeof toleration>;
