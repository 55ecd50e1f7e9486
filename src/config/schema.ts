import { z } from "zod";
import { count, duration, listenPort, port, size } from "./scalars.ts";
import { ISOLATION, server, serverName } from "./server-schema.ts";
import { filePath, groupName, host, hostName, origin, proxyAddress, publicUrl } from "./strings.ts";

const LATER = "is not available in this version";

/** The levels of pino. */
const LOG_LEVEL = z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]);

const address = z.strictObject({ host, port: listenPort });

/** The config file, key by key. What one key means for another is in relations.ts. */
export const configSchema = z.strictObject({
  // Lets an editor complete the file from what `config schema` prints.
  $schema: z.string().optional(),

  dataDir: filePath.default("./data"),
  controlSocket: filePath.nullable().default(null),
  controlGroup: groupName.nullable().default(null),
  keyFile: filePath.nullable().default(null),

  listen: z
    .strictObject({ host: host.default("127.0.0.1"), port: listenPort.default(8040) })
    .prefault({}),
  publicUrl: publicUrl.optional(),
  allowedHosts: z.array(hostName).default([]),
  allowedOrigins: z.array(origin).default([]),
  trustProxy: z.array(proxyAddress).default([]),
  admin: z
    .union([z.literal(false), address], { error: "must be false or an object with host and port" })
    .default(false),

  ports: z
    .strictObject({
      from: port.default(42_000),
      to: port.default(42_999),
      pin: z.record(z.string(), port).default({}),
    })
    .prefault({}),
  isolation: ISOLATION.default("auto"),
  limits: z
    .strictObject({
      children: count.default(200),
      memory: size.prefault("8G"),
      spawnConcurrency: z
        .union([z.literal("cores"), count], { error: 'must be "cores" or a whole number' })
        .default("cores"),
      streamsPerUser: count.default(32),
      childrenPerUser: count.default(16),
      bodyBytes: size.prefault("4M"),
      unread: size.prefault("64M"),
      unreadTotal: size.prefault("256M"),
    })
    .prefault({}),

  sessionTtl: duration().prefault("24h"),
  resumeWindow: duration(0).prefault("30s"),
  eventLog: z.int().min(0).default(256),
  stopTimeout: duration(0).prefault("5s"),
  startTimeout: duration().prefault("30s"),
  idleTimeout: duration().prefault("15m"),

  selfService: z.literal(false, { error: LATER }).default(false),
  allowPrivate: z.boolean().default(true),
  log: z.strictObject({ level: LOG_LEVEL.default("info") }).prefault({}),
  metrics: z.strictObject({ perUser: z.boolean().default(false) }).prefault({}),
  jwt: z.null({ error: LATER }).default(null),
  providers: z
    .record(z.string(), z.unknown())
    .refine((providers) => Object.keys(providers).length === 0, LATER)
    .default({}),
  uids: z.strictObject({ from: z.int(), to: z.int() }).nullable().default(null),

  defaultServer: z.string().optional(),
  servers: z.record(serverName, server),
});

export type ParsedConfig = z.output<typeof configSchema>;
export type ParsedServer = ParsedConfig["servers"][string];
