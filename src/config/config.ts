/** Room: config. What the admin wrote, checked as a whole and made absolute. In: a JSON file, or variables of the environment. Out: a `Config` nobody has to check again. Starts nothing and watches nothing. */
import path from "node:path";
import { z } from "zod";
import { SupervisorError, counted } from "../errors.ts";
import { dropSecrets, readDotenv, variablesIn } from "./dotenv.ts";
import type { Variables } from "./dotenv.ts";
import { configIn, givenServers, toVariable, urlsOf, withVariables } from "./environment.ts";
import { findConfigFile, noConfig, readConfigFile } from "./file.ts";
import type { Whereabouts } from "./file.ts";
import { readPasted } from "./foreign.ts";
import { readJson } from "./json.ts";
import { describeIssue, formatProblem, toProblems } from "./problems.ts";
import type { Problem } from "./problems.ts";
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
  JwtKeyDef,
  KubernetesConfig,
  NoticeDef,
  PodRecipe,
  ProviderDef,
  RemoteServer,
  ServerDef,
  TokenSource,
} from "./types.ts";

/**
 * The config from the file that `--config`, the environment or the usual places lead to; where there is
 * none, from the variables of the environment and, below it, of `.env`. Rejects with CONFIG_UNREADABLE,
 * or with CONFIG_INVALID whose `details` are all problems at once, as `path: message`.
 */
export function loadConfig(whereabouts: Whereabouts = {}): Config {
  const { env = process.env, cwd = process.cwd(), isServed = false } = whereabouts;
  const file = findConfigFile(whereabouts);
  const below = file === undefined || isServed ? readDotenv(cwd) : {};
  const variables = { ...below, ...variablesIn(env) };
  if (isServed) dropSecrets(env);
  const read = file === undefined ? fromVariables(variables, whereabouts) : fromFile(file);
  const place = {
    path: file ?? null,
    baseDir: file === undefined ? path.resolve(cwd) : path.dirname(file),
    env,
  };
  return withVariables(checkedConfig({ ...read, place, variables }), variables);
}

function fromFile(file: string): Pick<Written, "value" | "found"> {
  const { value, problems: found } = readJson(readConfigFile(file));
  // Where the text could not be read to its end there is nothing more to check.
  if (value === undefined) throw invalid(file, found);
  return { value, found };
}

function fromVariables(
  variables: Variables,
  whereabouts: Whereabouts,
): Pick<Written, "value" | "named"> {
  if (urlsOf(variables).length === 0) throw noConfig(whereabouts);
  return { value: configIn(variables), named: toVariable };
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
  return checkedConfig({ value, place: { path: null, baseDir: path.resolve(baseDir), env } });
}

/** A config as it was found. */
interface Written {
  value: unknown;
  place: Place;
  /** What is wrong with the text. */
  found?: readonly string[];
  /** Name servers beside those of the config. */
  variables?: Variables;
  /** The problem under the name that its place has for who wrote it. */
  named?: (problem: Problem) => Problem;
}

function checkedConfig({ value, place, found = [], variables = {}, named }: Written): Config {
  const { config, toFile } = readPasted(value);
  const result = configSchema.safeParse(config, { error: describeIssue });
  const ofFile = [
    ...(result.success ? [] : toProblems(result.error.issues, configJsonSchema())),
    ...relationProblems(config, place.baseDir),
  ];
  const given = givenServers(variables, config);
  const problems = [
    ...(named === undefined ? toFile(ofFile) : ofFile.map(named)),
    ...given.problems,
  ];
  if (result.success && problems.length === 0 && found.length === 0)
    return resolveConfig(result.data, place, given.servers);
  const title = named === undefined ? "the config" : "the environment";
  throw invalid(place.path ?? title, [...found, ...problems.map(formatProblem)]);
}

/** The JSON Schema of the file as an admin writes it. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema, { io: "input" });
}

function invalid(file: string, problems: string[]): SupervisorError {
  const message = `${file}: ${counted(problems.length, "problem")}`;
  return new SupervisorError("CONFIG_INVALID", message, { details: problems });
}
