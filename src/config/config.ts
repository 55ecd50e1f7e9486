/** Room: config. What the admin wrote, checked as a whole and made absolute. In: a JSON file. Out: a `Config` nobody has to check again. Starts nothing and watches nothing. */
import path from "node:path";
import { z } from "zod";
import { SupervisorError, counted } from "../errors.ts";
import { findConfigFile, readConfigFile } from "./file.ts";
import type { Whereabouts } from "./file.ts";
import { readPasted } from "./foreign.ts";
import { readJson } from "./json.ts";
import { describeIssue, formatProblem, toProblems } from "./problems.ts";
import { relationProblems } from "./relations.ts";
import { resolveConfig } from "./resolve.ts";
import type { Place } from "./resolve.ts";
import { configSchema } from "./schema.ts";
import type { Config } from "./types.ts";

export type {
  BuiltinServer,
  ChildServer,
  Config,
  Isolation,
  JwtIssuerDef,
  NoticeDef,
  ProviderDef,
  RemoteServer,
  ServerDef,
  TokenSource,
} from "./types.ts";

/**
 * The config from the file that `--config`, the environment or the usual places lead to. Rejects with
 * CONFIG_UNREADABLE, or with CONFIG_INVALID whose `details` are all problems at once, as `path: message`.
 */
export function loadConfig(whereabouts: Whereabouts = {}): Config {
  const file = findConfigFile(whereabouts);
  const { value, problems } = readJson(readConfigFile(file));
  // Where the text could not be read to its end there is nothing more to check.
  if (value === undefined) throw invalid(file, problems);
  const { env = process.env } = whereabouts;
  return checkedConfig(value, { path: file, baseDir: path.dirname(file), env }, problems);
}

/**
 * The config in `value`, with relative paths against `baseDir`. Rejects with CONFIG_INVALID as
 * `loadConfig` does. `env` is asked for systemd's $CREDENTIALS_DIRECTORY only.
 */
export function parseConfig(
  value: unknown,
  baseDir: string,
  { env = process.env }: { env?: NodeJS.ProcessEnv } = {},
): Config {
  return checkedConfig(value, { path: null, baseDir: path.resolve(baseDir), env }, []);
}

function checkedConfig(value: unknown, place: Place, found: readonly string[]): Config {
  const { config, toFile } = readPasted(value);
  const result = configSchema.safeParse(config, { error: describeIssue });
  const problems = toFile([
    ...(result.success ? [] : toProblems(result.error.issues, configJsonSchema())),
    ...relationProblems(config, place.baseDir),
  ]);
  if (result.success && problems.length === 0 && found.length === 0)
    return resolveConfig(result.data, place);
  throw invalid(place.path ?? "the config", [...found, ...problems.map(formatProblem)]);
}

/** The JSON Schema of the file as an admin writes it. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema, { io: "input" });
}

function invalid(file: string, problems: string[]): SupervisorError {
  const message = `${file}: ${counted(problems.length, "problem")}`;
  return new SupervisorError("CONFIG_INVALID", message, { details: problems });
}
