import type { KeyObject } from "node:crypto";
import type { GRANTS } from "./provider-schema.ts";
import type { ParsedIssuer } from "./jwt-schema.ts";
import type { ParsedKubernetes, Toleration } from "./kubernetes-schema.ts";
import type { ParsedConfig, ParsedNotice, ParsedProvider } from "./schema.ts";

export type Isolation = "auto" | "none" | "user" | "sandbox";

/**
 * The config as the rooms use it: every path absolute, every duration in ms, every size in bytes,
 * nothing left out. All rooms hold one object, in which a reload replaces what can change (compare.ts).
 */
export interface Config {
  /** The file it came from; null when it was made in memory. */
  path: string | null;
  /** The folder that relative paths were resolved against. */
  baseDir: string;
  dataDir: string;
  controlSocket: string;
  /** The group that may use the control socket beside the owner. */
  controlGroup: string | null;
  keyFile: string;
  /** Port 0 lets the system choose. */
  listen: { host: string; port: number };
  /** What personal URLs begin with. Its port is 0 where it was derived from a `listen` with port 0. */
  publicUrl: URL;
  allowedHosts: string[];
  allowedOrigins: string[];
  /** IP addresses and CIDR ranges. */
  trustProxy: string[];
  /** Who reads messages of clients from their connections. */
  requestReader: "own" | "node";
  /** `commands`: programs may be set over TCP, too. */
  admin: false | { host: string; port: number; commands?: boolean | undefined };
  /** URLs that are set over TCP may lead to private addresses. */
  allowPrivate: boolean;
  /** `pin` maps "user/server" to a port, which may lie outside of the range. */
  ports: { from: number; to: number; pin: Record<string, number> };
  isolation: Isolation;
  /** Where children run whose server says nothing of it. */
  engine: "process" | "kubernetes";
  /** The cluster for those that run as pods; null where the file has none, and then no server is a pod. */
  kubernetes: KubernetesConfig | null;
  limits: {
    children: number;
    memoryBytes: number;
    spawnConcurrency: number | "cores";
    streamsPerUser: number;
    sessionsPerUser: number;
    childrenPerUser: number;
    bodyBytes: number;
    /** Of what waits for a client that reads slowly: for one session, and for all. */
    unreadBytes: number;
    unreadTotalBytes: number;
  };
  sessionTtlMs: number;
  resumeWindowMs: number;
  eventLog: number;
  stopTimeoutMs: number;
  startTimeoutMs: number;
  drainTimeoutMs: number;
  idleTimeoutMs: number;
  selfService: boolean;
  /** What users get in a browser; false for nothing. */
  pages: false | { logs: boolean };
  log: ParsedConfig["log"];
  metrics: { perUser: boolean };
  jwt: { issuers: JwtIssuerDef[] };
  providers: Record<string, ProviderDef>;
  /** Who is told when something needs a person. */
  notices: NoticeDef[];
  /** Accounts that children are given; nobody else may have them. */
  uids: { from: number; to: number } | null;
  /** The one behind `/u/NAME/sse`; null for none. It may be one that the file does not have. */
  defaultServer: string | null;
  /** Those of the file; which there are is for the catalog to say. */
  servers: Record<string, ServerDef>;
  /** Those that MCP_URL or MCP_URLS named when the daemon started. */
  environment: Record<string, ServerDef>;
  /** The app that FEISHU_APP_ID and FEISHU_APP_SECRET name, which is that of users who have no other. */
  ownApp: { id: string; secret: KeyObject } | null;
  /** Servers that the file switches off: shown to admins, and for everybody else not there. */
  disabled: Record<string, ServerDef>;
  /** What is odd about the file, a line each as `path: message`, and no reason to refuse it. */
  warnings: string[];
}

/** How the pods of a server are made. */
export interface PodSettings {
  /** The image that the shim is copied from. */
  shimImage: string;
  /** Names of Secrets that images are pulled with. */
  pullSecrets: string[];
  /** Null for the cluster's choice. */
  pullPolicy: "Always" | "IfNotPresent" | "Never" | null;
  /** Null for the cluster's usual one. */
  runtimeClass: string | null;
  nodeSelector: Record<string, string>;
  /** As they stand in a Pod. */
  tolerations: Toleration[];
  requests: { memoryBytes: number; cpu: number };
  /** A volume for each user and server; null where the home goes with the pod. */
  home: { sizeBytes: number; storageClass: string | null } | null;
  /** Pods of the server that are started at a time; in the config: pods of all. */
  startConcurrency: number;
  /** How long a pod may be pending before it is given up. */
  pendingTimeoutMs: number;
  /** The shim ends all when it has heard nothing for so long: goes into the Pod, and into its row for the fence. */
  orphanTimeoutMs: number;
  /** What is known of the cluster's network policies: to be proven by a trial, or taken for granted. */
  networkPolicy: ParsedKubernetes["networkPolicy"];
}

/** The config's \`kubernetes\`: the cluster, and what holds for every server that says nothing else. */
export interface KubernetesConfig extends PodSettings {
  namespace: string;
  /** A file; null in a pod of the cluster. */
  kubeconfig: string | null;
  /** Of that file; null for its current one. */
  context: string | null;
  /** Pods at a time, of all servers. */
  maxPods: number;
  /** Of servers that name none; null where all have to. */
  image: string | null;
}

/** A server's pods, with all that the server and the config say of them. */
export interface PodRecipe extends PodSettings {
  image: string;
  /** Where the command starts; null for the image's own folder. The server's \`cwd\` has no meaning beside it. */
  cwd: string | null;
}

/** Somebody whose JWTs are taken. All paths are absolute. */
export interface JwtIssuerDef extends Pick<
  ParsedIssuer,
  "algorithm" | "createUsers" | "allowShortSecret"
> {
  /** What identities know it by: its `iss`, or a name of ours. */
  name: string;
  /** The `iss` of its tokens; null for any. */
  issuer: string | null;
  key: JwtKeyDef;
  /** Empty where tokens may have none. */
  audience: string[];
  /** The first of them that a token has says who it is. */
  userClaims: string[];
  leewayMs: number;
  maxLifetimeMs: number | null;
}

export type JwtKeyDef =
  | { kind: "secret"; file: string }
  /** From JWT_SECRET: a secret, or the public key as PEM. No log shows what is in one of these. */
  | { kind: "given"; text: KeyObject }
  | { kind: "public"; file: string; privateFile: string | null }
  | { kind: "jwks"; url: string };

/** Somebody who is told; both paths are absolute. */
export type NoticeDef = ParsedNotice;

/** Where tokens come from. */
export type ProviderDef = (
  | Omit<Extract<ParsedProvider, { kind: "oauth2" }>, ChangedKeys>
  | Omit<Extract<ParsedProvider, { kind: "google" }>, ChangedKeys>
  | Omit<Extract<ParsedProvider, { kind: "feishu" }>, ChangedKeys>
) & {
  name: string;
  clientSecretFile: string;
  defaultExpiresInMs: number;
};
type ChangedKeys = "clientSecretFile" | "defaultExpiresIn";

/** Of which provider the tokens of a server are, and whether each is a user's own or one for all. */
export interface TokenSource {
  provider: string;
  grant: (typeof GRANTS)[number];
}

interface AnyServer {
  /** A slug. */
  name: string;
  /** As people call it, who wrote it down. */
  title: string;
  /** What it is for, where somebody has said so. */
  description?: string | null;
  /** Null where tokens are set by hand and nobody refreshes them. */
  tokensFrom: TokenSource | null;
  idleTimeoutMs: number;
  startTimeoutMs: number;
  /** How long a generation may go on with its calls once the next has taken over. */
  drainTimeoutMs: number;
  stateful: boolean;
  /** The next generation may run beside the last one. */
  overlap: boolean;
  /** Which calls are sent to the next child when one ends in the middle of them. */
  resend: "never" | "reads" | "annotated";
  /** Beginnings of its own paths that its users reach; empty where they reach none. */
  routes: string[];
  /** What the last child showed may answer for one that sleeps. */
  manifest: boolean;
  /** Whose a stdio child is: all sessions' that declare the same and cannot be asked, all sessions' of the user, or one session's. */
  sharing: "capabilities" | "user" | "session";
}

/** A server that is started once per user: as a process of this machine, or as a pod. */
export interface ChildServer extends AnyServer {
  kind: "child";
  /** How its pods are made, and then \`command\`, \`args\` and \`env\` mean their image; absent for processes of this machine. */
  pod?: PodRecipe;
  transport: "stdio" | "sse" | "http";
  /** As written: looked up in PATH, or with a slash relative to `cwd`. */
  command: string;
  /** Templates, like the values of `env` and `path`. */
  args: string[];
  cwd: string;
  env: Record<string, string>;
  /** The values of `env` are secrets. */
  hasSecretEnv?: boolean;
  /** Where the child serves its transport; empty for stdio. */
  path: string;
  /** The environment variable that carries the user's token. */
  tokenEnv: string;
  /** The token is in a file in place of that. */
  tokenFile: boolean;
  isolation: Isolation;
  network: "none" | "full";
  /** Ports of this machine that the child may call. */
  reach: number[];
  paths: { read: string[]; write: string[] };
  limits: { memoryBytes?: number; pids?: number; cpu?: number };
}

/** A server that runs elsewhere. */
export interface RemoteServer extends AnyServer {
  kind: "remote";
  transport: "sse" | "http";
  /** Templates, like the values of `headers`. */
  url: string;
  headers: Record<string, string>;
  /** It may have no private address: somebody set the URL over a network. */
  isPublicOnly?: boolean;
}

/** A server that is part of the daemon. */
export interface BuiltinServer extends AnyServer {
  kind: "builtin";
  transport: "builtin";
  builtin: "feishu-token";
  /** Where Feishu's open platform is. */
  baseUrl: string;
  /** The app of users who have none of their own; null where there is none. */
  app: { id: string; secretFile: string } | null;
  /** A client may name its app in the URL. */
  sessionConfig: boolean;
}

export type ServerDef = ChildServer | RemoteServer | BuiltinServer;
