import { z } from "zod";
import {
  HTTP_NAMES,
  PASSED_OVER_KEYS,
  RESTRICTING_KEYS,
  RESTRICTS,
  transportNamed,
} from "./foreign.ts";
import { count, duration, port, size } from "./scalars.ts";
import { SLUG, SLUG_RULE } from "./slug.ts";
import {
  environmentName,
  filePath,
  headerName,
  headerValue,
  remoteUrl,
  routePath,
  template,
} from "./strings.ts";

export const ISOLATION = z.enum(["auto", "none", "user", "sandbox"]);
export const DEFAULT_TOKEN_ENV = "USER_ACCESS_TOKEN";

/** Words of the path grammar: `/u/alice/sse` cannot also mean alice's server called sse. */
const RESERVED = ["sse", "mcp", "messages", "token", "connect"];

export const serverName = z
  .string()
  .regex(SLUG, SLUG_RULE)
  .refine((name) => !RESERVED.includes(name), `must not be one of ${RESERVED.join(", ")}`);

/** A name of one of these transports, here or elsewhere, read as ours. */
const transportIn = <Name extends string>(names: readonly Name[]) =>
  z.enum([...names, ...HTTP_NAMES]).transform((name) => transportNamed(name));

const common = {
  disabled: z.boolean().default(false),
  idleTimeout: duration().optional(),
  startTimeout: duration().optional(),
  stateful: z.boolean().default(false),
  // Left out, it is for what the clients declare to decide.
  sharing: z.enum(["user", "session"]).optional(),
  resend: z.enum(["never", "reads", "annotated"]).default("reads"),
};

const childOnly = {
  args: z.array(template(["port", "user"])).default([]),
  cwd: filePath.optional(),
  env: z.record(environmentName, template(["port", "user"])).default({}),
  path: routePath.optional(),
  tokenEnv: environmentName.default(DEFAULT_TOKEN_ENV),
  isolation: ISOLATION.optional(),
  network: z.enum(["none", "full"]).default("full"),
  // In a sandbox the child's account listens there itself, and lower ones are not for ordinary accounts.
  reach: z.array(port.min(1024, "must be at least 1024, where any account may listen")).default([]),
  paths: z
    .strictObject({ read: z.array(filePath).default([]), write: z.array(filePath).default([]) })
    .prefault({}),
  limits: z
    .strictObject({
      memory: size.optional(),
      pids: count.optional(),
      cpu: z.number().positive().optional(),
    })
    .prefault({}),
};

/** Not among the keys that the types know: whoever reads the config has nothing to do with them. */
const foreign: object = Object.fromEntries(
  PASSED_OVER_KEYS.map((key) => [key, z.unknown().optional()]),
);

const remoteOnly = {
  headers: z.record(headerName, headerValue).default({}),
};

/** Keys of the other kind of server: no typo, yet without effect here. They leave no trace in the type. */
const refused = (keys: readonly string[], problem: string): object =>
  Object.fromEntries(keys.map((key) => [key, z.never({ error: problem }).optional()]));

const refusedAll = refused(RESTRICTING_KEYS, RESTRICTS);

const childTransport = transportIn(["stdio", "sse", "http"]).optional();
const childServer = z.strictObject({
  type: childTransport,
  transport: childTransport,
  command: filePath,
  ...childOnly,
  ...common,
  ...foreign,
  ...refused(["url", "serverUrl", ...Object.keys(remoteOnly)], 'cannot stand beside "command"'),
  ...refusedAll,
});

const remoteTransport = transportIn(["sse", "http"]).optional();
const remote = {
  type: remoteTransport,
  transport: remoteTransport,
  ...remoteOnly,
  ...common,
  ...foreign,
  ...refused(["command", ...Object.keys(childOnly)], "cannot stand beside a URL"),
  ...refusedAll,
};
const remoteServer = z.strictObject({
  url: remoteUrl,
  serverUrl: remoteUrl.optional(),
  ...remote,
});
const remoteByServerUrl = z.strictObject({ serverUrl: remoteUrl, ...remote });

export const server = z.union([childServer, remoteServer, remoteByServerUrl], {
  error: 'must be an object with a "command" or a "url"',
});
