/** Room: config. What the admin wrote, checked as a whole and made absolute. In: a JSON file. Out: a `Config` nobody has to check again. Starts nothing and watches nothing. */
import path from "node:path";
import { z } from "zod";
import { SupervisorError } from "../errors.ts";
import { findConfigFile, readConfigFile } from "./file.ts";
import type { Whereabouts } from "./file.ts";
import { readJson } from "./json.ts";
import { describeIssue, formatProblem, toProblems } from "./problems.ts";
import { relationProblems } from "./relations.ts";
import { resolveConfig } from "./resolve.ts";
import { configSchema } from "./schema.ts";
import type { Config } from "./types.ts";

export type { ChildServer, Config, Isolation, RemoteServer, ServerDef } from "./types.ts";

/**
 * The config from the file that `--config`, the environment or the usual places lead to. Rejects with
 * CONFIG_UNREADABLE, or with CONFIG_INVALID whose `details` are all problems at once, as `path: message`.
 */
export function loadConfig(whereabouts: Whereabouts = {}): Config {
  const file = findConfigFile(whereabouts);
  const { value, problems } = readJson(readConfigFile(file));
  if (problems.length > 0) throw invalid(file, problems);
  return parseConfig(value, path.dirname(file), { path: file, env: whereabouts.env });
}

/**
 * The config in `value`, with relative paths against `baseDir`. Rejects with CONFIG_INVALID as
 * `loadConfig` does. `env` is asked for systemd's $CREDENTIALS_DIRECTORY only.
 */
export function parseConfig(
  value: unknown,
  baseDir: string,
  options: { path?: string | null; env?: NodeJS.ProcessEnv | undefined } = {},
): Config {
  const { path: file = null, env = process.env } = options;
  const result = configSchema.safeParse(value, { error: describeIssue });
  const problems = [
    ...(result.success ? [] : toProblems(result.error.issues, configJsonSchema())),
    ...relationProblems(value, path.resolve(baseDir)),
  ];
  if (!result.success || problems.length > 0)
    throw invalid(file ?? "the config", problems.map(formatProblem));
  return resolveConfig(result.data, { path: file, baseDir: path.resolve(baseDir), env });
}

/** The JSON Schema of the file as an admin writes it. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema, { io: "input" });
}

function invalid(file: string, problems: string[]): SupervisorError {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return new SupervisorError("CONFIG_INVALID", `${file}: ${count}`, { details: problems });
}
