import { z } from "zod";
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

const common = {
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

const remoteOnly = {
  headers: z.record(headerName, headerValue).default({}),
};

/** Keys of the other kind of server: no typo, yet without effect here. They leave no trace in the type. */
const refused = (keys: readonly string[], problem: string): object =>
  Object.fromEntries(keys.map((key) => [key, z.never({ error: problem }).optional()]));

export const childServer = z.strictObject({
  type: z.enum(["stdio", "sse", "http"]).default("stdio"),
  command: filePath,
  ...childOnly,
  ...common,
  ...refused(["url", ...Object.keys(remoteOnly)], 'cannot stand beside "command"'),
});

export const remoteServer = z.strictObject({
  type: z.enum(["sse", "http"]).optional(),
  url: remoteUrl,
  ...remoteOnly,
  ...common,
  ...refused(["command", ...Object.keys(childOnly)], 'cannot stand beside "url"'),
});

export const server = z.union([childServer, remoteServer], {
  error: 'must be an object with a "command" or a "url"',
});
