import { z } from "zod";
import { jwt } from "./jwt-schema.ts";
import { kubernetes } from "./kubernetes-schema.ts";
import { notices } from "./notice-schema.ts";
import { provider, providerName } from "./provider-schema.ts";
import { count, duration, listenPort, port, size } from "./scalars.ts";
import { ENGINE, ISOLATION, server, serverName } from "./server-schema.ts";
import { filePath, groupName, host, hostName, origin, proxyAddress, publicUrl } from "./strings.ts";

/** The levels of pino. */
const LOG_LEVEL = z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]);

const address = z.strictObject({ host, port: listenPort });
const adminListener = address.extend({ commands: z.boolean().optional() });

/**
 * The config file, key by key; what one key means for another is in relations.ts. The descriptions are
 * what editors show beside a key, and docs/configuration.md is made from them.
 */
export const configSchema = z.strictObject({
  $schema: z
    .string()
    .optional()
    .describe("the JSON Schema for your editor: the file that `config schema` printed"),

  dataDir: filePath
    .default("./data")
    .describe("database, keys, control socket and private homes; made with mode 0700"),
  controlSocket: filePath
    .nullable()
    .default(null)
    .describe("where the command line finds the daemon; `control.sock` in `dataDir` unless set"),
  controlGroup: groupName
    .nullable()
    .default(null)
    .describe("a group that may use the control socket, which gets mode 0660 instead of 0600"),
  keyFile: filePath
    .nullable()
    .default(null)
    .describe(
      "the key of the vault; unless set, the systemd credential `vault.key`, else `vault.key` in `dataDir`",
    ),

  listen: z
    .strictObject({
      host: host.default("127.0.0.1").describe("the address that the gateway listens on"),
      port: listenPort.default(8040).describe("its port; 0 lets the system choose one"),
    })
    .prefault({}),
  publicUrl: publicUrl
    .optional()
    .describe(
      "what personal URLs begin with; made from `listen` unless set; its path prefix may be there or stripped when a request arrives",
    ),
  allowedHosts: z
    .array(hostName)
    .default([])
    .describe(
      "further names in the Host header, beside loopback names, IP addresses and the host of `publicUrl`",
    ),
  allowedOrigins: z
    .array(origin)
    .default([])
    .describe(
      "further web origins, beside that of `publicUrl` and loopback ones (on the control listener: beside its own)",
    ),
  trustProxy: z
    .array(proxyAddress)
    .default([])
    .describe("addresses and CIDR ranges of proxies whose X-Forwarded-For is believed"),
  requestReader: z
    .enum(["own", "node"], { error: 'must be "own" or "node"' })
    .default("own")
    .describe(
      "who reads messages of clients, and their requests for event streams, from their connections: `own`, which takes only what is plain and gives all else to Node's HTTP server, or that server alone (`node`)",
    ),
  admin: z
    .union([z.literal(false), adminListener], {
      error: "must be false or an object with host and port",
    })
    .default(false)
    .describe(
      '`{ "host": …, "port": … }` serves the control API on TCP too, with the token in `admin.token` of `dataDir`; `"commands": true` lets its servers be programs of this machine, as those that come over the socket always may',
    ),

  ports: z
    .strictObject({
      from: port.default(42_000).describe("the first port for children that listen on one"),
      to: port.default(42_999).describe("the last one"),
      pin: z
        .record(z.string(), port)
        .default({})
        .describe(
          'a fixed port for one user\'s server: `{ "alice/gmail": 8841 }`; not in a sandbox',
        ),
    })
    .prefault({}),
  isolation: ISOLATION.default("auto").describe(
    "`none`, `user`, `sandbox`, or `auto`: the strongest of `user` and `sandbox` that works here",
  ),
  engine: ENGINE.default("process").describe(
    "where children run: `process` on this machine, `kubernetes` as pods of a cluster",
  ),
  kubernetes: kubernetes
    .nullable()
    .default(null)
    .describe("the cluster for servers that run as pods; see Keys of pods"),
  limits: z
    .strictObject({
      children: count.default(200).describe("children on this machine"),
      memory: size.prefault("8G").describe("resident memory of all children together"),
      spawnConcurrency: z
        .union([z.literal("cores"), count], { error: 'must be "cores" or a whole number' })
        .default("cores")
        .describe("starts at a time; `cores` adapts to idle cores, a number holds as it stands"),
      streamsPerUser: count.default(32).describe("open streams of one user"),
      sessionsPerUser: count
        .default(128)
        .describe(
          "sessions of one user that nobody has a stream or a call in; the one unused for longest goes",
        ),
      childrenPerUser: count
        .default(16)
        .describe("children of one user; two IDE windows with five servers each need ten"),
      bodyBytes: size.prefault("4M").describe("one request body of a client"),
      unread: size
        .prefault("64M")
        .describe("what the clients of one session have not read yet before answers are refused"),
      unreadTotal: size.prefault("256M").describe("the same for all sessions together"),
    })
    .prefault({}),

  sessionTtl: duration()
    .prefault("24h")
    .describe("a session ends when its client has sent nothing for so long"),
  resumeWindow: duration(0)
    .prefault("30s")
    .describe(
      "how long a session waits for a client that has lost its connection before its calls are cancelled",
    ),
  eventLog: z
    .int()
    .min(0)
    .default(256)
    .describe("events that a session keeps for a client that comes back, 1 MiB at most; 0: none"),
  stopTimeout: duration(0)
    .prefault("5s")
    .describe(
      "how long a child has to end before it is killed, and, when the daemon ends, how long calls under way have to finish",
    ),
  startTimeout: duration().prefault("30s").describe("how long a child may take to become ready"),
  drainTimeout: duration(0)
    .prefault("30s")
    .describe("how long a child that a new one has taken over from may go on with its calls"),
  idleTimeout: duration()
    .prefault("15m")
    .describe("a child that nobody uses is stopped after this"),

  selfService: z
    .boolean()
    .default(false)
    .describe("users may store their own tokens, by `PUT /u/NAME/token` with their access key"),
  allowPrivate: z
    .boolean()
    .default(true)
    .describe(
      "a server's `url` that is set over TCP may lead to this machine and to private networks; those of this file and of the control socket always may",
    ),
  pages: z
    .union([z.boolean(), z.strictObject({ logs: z.boolean().default(false) })], {
      error: 'must be true, false or { "logs": true }',
    })
    .default(true)
    .describe(
      'the users\' page at `/me` of `publicUrl`; `{ "logs": true }` shows users the last lines of their own children too',
    ),
  log: z
    .strictObject({
      level: LOG_LEVEL.default("info").describe(
        "`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`",
      ),
      format: z
        .enum(["auto", "json", "text"])
        .default("auto")
        .describe("`json`, `text`, or `auto`: text on a terminal, JSON elsewhere"),
    })
    .prefault({}),
  metrics: z
    .strictObject({
      perUser: z
        .boolean()
        .default(false)
        .describe("`/metrics` counts calls for each user too: one more series for each of them"),
    })
    .prefault({}),
  jwt: jwt
    .nullable()
    .default(null)
    .describe("who issues JWTs that are taken in place of an access key; see Keys of an issuer"),
  providers: z
    .record(providerName, provider)
    .default({})
    .describe("where users' tokens come from, by name; see Keys of a provider"),
  notices: notices
    .default([])
    .describe("who is told when something needs a person; see Notices below"),
  uids: z
    .strictObject({ from: z.int(), to: z.int() })
    .nullable()
    .default(null)
    .describe(
      'accounts for children: `{ "from": 61001, "to": 61183 }`; needs a daemon that is root',
    ),

  defaultServer: z
    .string()
    .nullable()
    .optional()
    .describe(
      "the server behind `/u/NAME/sse`; the only one there is, else `everything`; null for none",
    ),
  servers: z
    .record(serverName, server)
    .default({})
    .describe("the MCP servers by name; see the next table; none where all come over REST"),
});

export type ParsedConfig = z.output<typeof configSchema>;
export type ParsedProvider = ParsedConfig["providers"][string];
export type ParsedNotice = ParsedConfig["notices"][number];
export type ParsedServer = ParsedConfig["servers"][string];
