import { z } from "zod";
import {
  HTTP_NAMES,
  PASSED_OVER_KEYS,
  RESTRICTING_KEYS,
  RESTRICTS,
  transportNamed,
} from "./foreign.ts";
import { podKeys } from "./kubernetes-schema.ts";
import { FEISHU_BASE, GRANTS } from "./provider-schema.ts";
import { count, duration, port, size } from "./scalars.ts";
import { SLUG, SLUG_RULE } from "../platform/slug.ts";
import { repeated } from "../platform/texts.ts";
import {
  environmentName,
  filePath,
  headerName,
  ownRoute,
  headerValue,
  remoteUrl,
  routePath,
  serviceUrl,
  template,
  word,
} from "./strings.ts";

export const ISOLATION = z.enum(["auto", "none", "user", "sandbox"]);
export const ENGINE = z.enum(["process", "kubernetes"]);
export const DEFAULT_TOKEN_ENV = "USER_ACCESS_TOKEN";
/** Names the file with the token, where that is in one. */
export const TOKEN_FILE_ENV = "USER_ACCESS_TOKEN_FILE";

/** Words of the path grammar: `/u/alice/sse` cannot also mean alice's server called sse. */
const RESERVED = ["sse", "mcp", "messages", "token", "connect"];

export const isReserved = (name: string): boolean => RESERVED.includes(name);

export const serverName = z
  .string()
  .regex(SLUG, SLUG_RULE)
  .refine((name) => !isReserved(name), `must not be one of ${RESERVED.join(", ")}`);

/** A name of one of these transports, here or elsewhere, read as ours. */
const transportIn = <Name extends string>(names: readonly Name[]) =>
  z.enum([...names, ...HTTP_NAMES]).transform((name) => transportNamed(name));

const common = {
  disabled: z
    .boolean()
    .default(false)
    .describe("to users as if the server were not there; admins see it in lists"),
  idleTimeout: duration().optional().describe("in place of the config's `idleTimeout`"),
  startTimeout: duration().optional().describe("in place of the config's `startTimeout`"),
  drainTimeout: duration(0).optional().describe("in place of the config's `drainTimeout`"),
  stateful: z
    .boolean()
    .default(false)
    .describe(
      "the server keeps in memory what clients rely on: no idle stop, and sessions end with it",
    ),
  overlap: z
    .boolean()
    .default(true)
    .describe(
      "a new child starts beside the one it takes over from; `false` where two of one user cannot share a home",
    ),
  resend: z
    .enum(["never", "reads", "annotated"])
    .default("reads")
    .describe(
      "which calls are sent to the next child when one ends in the middle of them: `never` none, `reads` those that only read by their method, `annotated` also tools that say `readOnlyHint` or `idempotentHint`",
    ),
  manifest: z
    .boolean()
    .default(true)
    .describe(
      "`initialize` and lists are answered at once from what the last child showed while it sleeps; never with `stateful`",
    ),
  provider: z
    .string()
    .optional()
    .describe("the one of `providers` that this server's tokens come from"),
  grant: z
    .enum(GRANTS)
    .optional()
    .describe(
      "of a server with a `provider`: `user` for a token of each user's own, the others for one token of the provider for all users; `user` unless set",
    ),
  routes: z
    .array(ownRoute)
    .default([])
    .describe(
      "of a server that speaks HTTP: beginnings of its own paths, such as `/files`, that its users reach as `/u/NAME/SERVER/-/files/…`; none unless set",
    ),
  // Left out, it is for what the clients declare to decide.
  sharing: z
    .enum(["user", "session"])
    .optional()
    .describe(
      "of a stdio server: `user` for one child for all sessions of a user, `session` for one each; unless set, sessions share a child where they cannot be asked anything back",
    ),
};

const childOnly = {
  args: z
    .array(template(["port", "user"]))
    .default([])
    .describe("its arguments; `${port}` and `${user}` are filled in"),
  cwd: filePath
    .optional()
    .describe(
      "where it starts; the folder of the config file unless set, in a pod that of the image",
    ),
  env: z
    .record(environmentName, template(["port", "user"]))
    .default({})
    .describe("variables of its environment; `${port}` and `${user}` are filled in"),
  path: routePath
    .optional()
    .describe(
      "where it serves its transport; `/sse` or `/mcp` unless set; `${port}` and `${user}` are filled in",
    ),
  tokenEnv: environmentName
    .default(DEFAULT_TOKEN_ENV)
    .describe("the variable that carries the user's token"),
  tokenFile: z
    .boolean()
    .default(false)
    .describe(
      "the token is in a file that `USER_ACCESS_TOKEN_FILE` names, and no variable: a new one takes its place, and the child goes on",
    ),
  isolation: ISOLATION.optional().describe("in place of the config's `isolation`"),
  engine: ENGINE.optional().describe("in place of the config's `engine`"),
  kubernetes: podKeys
    .optional()
    .describe("of a server that runs as pods, in place of the config's; see Keys of pods"),
  network: z
    .enum(["none", "full"])
    .default("full")
    .describe("in a sandbox: `full` reaches other machines, `none` only what `reach` names"),
  // In a sandbox the child's account listens there itself, and lower ones are not for ordinary accounts.
  reach: z
    .array(port.min(1024, "must be at least 1024, where any account may listen"))
    .default([])
    .describe(
      "in a sandbox: ports of this machine's loopback that the server may call, 1024 and above",
    ),
  paths: z
    .strictObject({
      read: z
        .array(filePath)
        .default([])
        .describe("in a sandbox: what it may read besides its own"),
      write: z
        .array(filePath)
        .default([])
        .describe("in a sandbox: what it may write besides its own"),
    })
    .prefault({}),
  limits: z
    .strictObject({
      memory: size.optional().describe("memory of each child with all that it starts"),
      pids: count.optional().describe("processes and threads of each child"),
      cpu: z.number().positive().optional().describe("cores of each child, such as `0.5`"),
    })
    .prefault({}),
};

/** Not among the keys that the types know: whoever reads the config has nothing to do with them. */
const foreign: object = Object.fromEntries(
  PASSED_OVER_KEYS.map((key) => [key, z.unknown().optional()]),
);

const { path: _path, ...ofProgram } = childOnly;
/** Keys of a program, and of what stands around it: who sets them runs code on this machine. `path` is where it is asked. */
export const PROGRAM_KEYS: readonly string[] = ["command", ...Object.keys(ofProgram)];

const TWICE = "is there twice, in another case: a header has one name";

const remoteOnly = {
  headers: z
    .record(headerName, headerValue)
    .superRefine((headers, context) => {
      const names = Object.keys(headers);
      for (const at of repeated(names.map((name) => name.toLowerCase())))
        context.addIssue({ code: "custom", path: [names[at]!], message: TWICE });
    })
    .default({})
    .describe("headers of its requests; `${token}` and `${user}` are filled in"),
};

const builtinOnly = {
  builtin: z
    .enum(["feishu-token"])
    .describe("`feishu-token`: a server that is part of the daemon, and gives Feishu tokens"),
  baseUrl: serviceUrl
    .default(FEISHU_BASE)
    .describe("the open platform that it asks; `https://open.larksuite.com` for Lark"),
  appId: word.optional().describe("the app of users who have none of their own"),
  appSecretFile: filePath
    .optional()
    .describe(
      "holds that app's secret; unless set, the systemd credential `NAME.secret`, else `NAME.secret` in `dataDir`, NAME being the server's",
    ),
  sessionConfig: z
    .boolean()
    .default(false)
    .describe(
      "clients may name their app in the URL: `?config=` with JSON in base64, or `?app_id=` and `&app_secret=`",
    ),
};

/** Keys of the other kind of server: no typo, yet without effect here. They leave no trace in the type. */
const refusedKeys = (keys: readonly string[], problem: string): object =>
  Object.fromEntries(keys.map((key) => [key, z.never({ error: problem }).optional()]));

const refusedAll = refusedKeys(RESTRICTING_KEYS, RESTRICTS);

const TRANSPORT =
  "what it speaks; `stdio` for a `command`, `sse` for a `url` that ends in `/sse`, else `http`, unless set";
const OTHER_TRANSPORT = "another name for `type`";
const OTHER_URL = "another name for `url`";

const childTransport = transportIn(["stdio", "sse", "http"]).optional();
const childServer = z.strictObject({
  type: childTransport.describe(TRANSPORT),
  transport: childTransport.describe(OTHER_TRANSPORT),
  command: filePath.describe("the program; looked up in PATH, or, with a slash, from `cwd`"),
  ...childOnly,
  ...common,
  ...foreign,
  ...refusedKeys(
    ["url", "serverUrl", ...Object.keys(remoteOnly), ...Object.keys(builtinOnly)],
    'cannot stand beside "command"',
  ),
  ...refusedAll,
});

const remoteTransport = transportIn(["sse", "http"]).optional();
const remote = {
  type: remoteTransport.describe(TRANSPORT),
  transport: remoteTransport.describe(OTHER_TRANSPORT),
  ...remoteOnly,
  ...common,
  ...foreign,
  ...refusedKeys(
    ["command", ...Object.keys(childOnly), ...Object.keys(builtinOnly)],
    "cannot stand beside a URL",
  ),
  ...refusedAll,
};
export const remoteServer = z.strictObject({
  url: remoteUrl.describe("where a server that runs elsewhere is reached; `${user}` is filled in"),
  serverUrl: remoteUrl.optional().describe(OTHER_URL),
  ...remote,
});
const remoteByServerUrl = z.strictObject({
  serverUrl: remoteUrl.describe(OTHER_URL),
  ...remote,
});

const { disabled, ...ofEveryOther } = common;
const builtinServer = z.strictObject({
  ...builtinOnly,
  disabled,
  ...foreign,
  ...refusedKeys(
    ["command", "url", "serverUrl", "type", "transport"].concat(
      Object.keys({ ...childOnly, ...remoteOnly, ...ofEveryOther }),
    ),
    'cannot stand beside "builtin"',
  ),
  ...refusedAll,
});

export const server = z.union([childServer, remoteServer, remoteByServerUrl, builtinServer], {
  error: 'must be an object with a "command", a "url" or a "builtin"',
});
