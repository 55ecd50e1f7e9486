import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { CONFIG_FILE } from "../../config/file.ts";
import { SupervisorError } from "../../errors.ts";
import { writeNewFile } from "../../platform/atomic-file.ts";
import { installsFolder } from "../../platform/installs-folder.ts";
import { answer, canAsk, globalsOf } from "../output.ts";
import { ownName } from "../own-name.ts";
import { whileWaiting } from "../progress.ts";
import { readSecret } from "../secret.ts";
import type { Line } from "../view.ts";
import { askForSource, askForTokenVariable, askYes } from "./questions.ts";
import { isPlaceholder, personalIn } from "./personal.ts";
import type { Entry, Source } from "./source.ts";
import type { Trial } from "./trial.ts";

export interface InitOptions {
  from?: string;
  yes?: boolean;
  name?: string;
  isolation?: string;
  tokenVariable?: string;
  bin?: string;
  allowScripts?: boolean;
  tokenStdin?: boolean;
  tokenFile?: string;
  tokenEnv?: string;
}

/** The servers as they go into the config, and what to try each with. */
interface Settled {
  servers: Record<string, Entry>;
  tokens: Map<string, string>;
  /** What was changed of what was given, for people. */
  notes: string[];
}

const refused = (message: string, details: readonly string[]): SupervisorError =>
  new SupervisorError("INIT_REFUSED", message, { details });

/** Where the config is to be; INIT_REFUSED where there is one. */
function newConfigFile(command: Command): string {
  const named = globalsOf(command).config ?? process.env["MCP_SUPERVISOR_CONFIG"];
  const file = path.resolve(named === undefined || named === "" ? CONFIG_FILE : named);
  if (!existsSync(file)) return file;
  throw refused(`${file} is there already, and is not written over`, [
    "`mcp-supervisor server add` adds a server to a daemon that runs; --config names another file",
  ]);
}

async function sourceOf(options: InitOptions, isAsking: boolean): Promise<Source> {
  const { readSource } = await import("./source.ts");
  if (options.from !== undefined) return readSource(options.from);
  if (isAsking) return await askForSource();
  throw new SupervisorError(
    "USAGE",
    "which server? --from takes a file, a URL, npm:NAME@VERSION, pypi:NAME==VERSION, or - for stdin",
  );
}

/** Entries by name; a package is fetched into the data folder, to be started from there. */
async function entriesOf(
  source: Source,
  dataDir: string,
  options: InitOptions,
  command: Command,
): Promise<Record<string, Entry>> {
  if (source.kind === "entries") return source.entries;
  const { installServer } = await import("../../installs/installs.ts");
  const work = installServer(dataDir, source.name, source.spec, {
    bin: options.bin,
    allowScripts: options.allowScripts ?? false,
    onOutput: () => undefined,
  });
  const waiting = {
    doing: `fetching ${source.spec.package} ${source.spec.version}`,
    afterInterrupt: "nothing was written; the same command begins anew",
  };
  const { install } = await whileWaiting(command, waiting, work);
  const { command: program, args } = install;
  return { [source.name]: { command: program, ...(args.length === 0 ? {} : { args }) } };
}

/** What is one person's in an entry becomes each user's own. */
async function settleOne(
  settled: Settled,
  [name, given]: [string, Entry],
  isAsking: boolean,
): Promise<void> {
  const found = personalIn(given);
  let entry = given;
  for (const personal of found) {
    const question = `${name}: ${personal.where} looks like a secret of one person's. Does each user have an own one there?`;
    // Without anybody to ask only what can be meant in one way.
    if (isAsking ? !(await askYes(question, true)) : found.length > 1) continue;
    ({ entry } = personal);
    if (!isPlaceholder(personal.value)) settled.tokens.set(name, personal.value);
    settled.notes.push(
      `${name}: ${personal.where} is each user's own token, set by \`token set NAME --server ${name}\`; the value is not in the config.`,
    );
    break;
  }
  if (entry === given && found.length > 0)
    settled.notes.push(
      `${name}: all users share ${found.map(({ where }) => where).join(", ")}, as the config has it.`,
    );
  settled.servers[name] = entry;
}

async function settle(
  entries: Record<string, Entry>,
  options: InitOptions,
  isAsking: boolean,
): Promise<Settled> {
  const settled: Settled = { servers: {}, tokens: new Map(), notes: [] };
  const names = Object.keys(entries);
  for (const [name, entry] of Object.entries(entries)) {
    const own = names.length === 1 ? (options.name ?? name) : name;
    await settleOne(settled, [own, entry], isAsking);
  }
  const [first = ""] = Object.keys(settled.servers);
  const entry = settled.servers[first];
  if (names.length === 1 && entry !== undefined && "command" in entry) {
    const isOpen = isAsking && !("tokenEnv" in entry);
    const variable = options.tokenVariable ?? (isOpen ? await askForTokenVariable() : undefined);
    if (variable !== undefined) settled.servers[first] = { ...entry, tokenEnv: variable };
  }
  return settled;
}

interface NewConfig {
  dataDir: string;
  isolation?: string;
  defaultServer: string | undefined;
  servers: Record<string, Entry>;
}

function configFor(file: string, settled: Settled, isolation: string | undefined): NewConfig {
  const [first] = Object.keys(settled.servers);
  return {
    dataDir: dataDirFor(file).written,
    ...(isolation === undefined ? {} : { isolation }),
    defaultServer: first,
    servers: settled.servers,
  };
}

/** Beside the file, but for the config of the machine. */
function dataDirFor(file: string): { written: string; absolute: string } {
  const folder = path.dirname(file);
  if (folder === "/etc/mcp-supervisor")
    return { written: "/var/lib/mcp-supervisor", absolute: "/var/lib/mcp-supervisor" };
  return { written: "./data", absolute: path.join(folder, "data") };
}

async function tried(
  command: Command,
  file: string,
  config: NewConfig,
  tokens: Map<string, string>,
): Promise<Trial[]> {
  const { tryServers } = await import("./trial.ts");
  const stop = new AbortController();
  const baseDir = path.dirname(file);
  const work = tryServers({ config, baseDir, tokens, signal: stop.signal });
  const waiting = {
    doing: "starting it once, to see that it works",
    afterInterrupt: "nothing was written",
    cleanUp: async () => {
      stop.abort();
      await work.catch(() => undefined);
    },
  };
  const trials = await whileWaiting(command, waiting, work);
  const bad = trials.filter(({ problem }) => problem !== null);
  if (bad.length === 0) return trials;
  throw refused(
    "it does not work yet, so no config was written",
    bad.flatMap(({ server, problem, lines }) => [
      `${server}: ${problem}`,
      ...lines.map((line) => `  ${line}`),
    ]),
  );
}

/** As `tried`; where the machine has no isolation, somebody who is there may do without. */
async function triedAtSomeLevel(
  command: Command,
  file: string,
  settled: Settled,
  { isolation, isAsking }: { isolation: string | undefined; isAsking: boolean },
): Promise<{ config: NewConfig; trials: Trial[] }> {
  const config = configFor(file, settled, isolation);
  try {
    return { config, trials: await tried(command, file, config, settled.tokens) };
  } catch (error) {
    const isLack = error instanceof SupervisorError && error.code === "ISOLATION_UNAVAILABLE";
    if (!isLack || !isAsking) throw error;
    process.stderr.write(`${[error.message, ...error.details].join("\n  ")}\n`);
    if (!(await askYes("Do without isolation, for one person or a trial?", false))) throw error;
    const without = configFor(file, settled, "none");
    return { config: without, trials: await tried(command, file, without, settled.tokens) };
  }
}

function trialLines({ server, isolation, tools }: Trial): string[] {
  const where = isolation === null ? "it runs elsewhere" : `isolation ${isolation}`;
  const shown = tools.length === 0 ? "no tools" : tools.join(", ");
  return [`${server} works (${where}): ${shown}`];
}

async function tokenToTry(command: Command, options: InitOptions, settled: Settled): Promise<void> {
  const { yes = false, tokenStdin, tokenFile, tokenEnv } = options;
  const isGiven = (tokenStdin ?? tokenFile ?? tokenEnv) !== undefined;
  if (!isGiven && (yes || settled.tokens.size > 0)) return;
  const token = await readSecret(
    command,
    "A token to try it with (not shown, not kept; Enter for none): ",
  );
  if (token === undefined) return;
  for (const name of Object.keys(settled.servers)) settled.tokens.set(name, token);
}

/** Writes a config for what `--from` names, or for what is asked for, once it was seen to work. */
export async function init(options: InitOptions, command: Command): Promise<void> {
  const file = newConfigFile(command);
  const isAsking = canAsk(command) && options.yes !== true;
  const source = await sourceOf(options, isAsking);
  const { absolute: dataDir } = dataDirFor(file);
  const own = source.kind === "package" ? { ...source, name: options.name ?? source.name } : source;
  // A server starts in the folder of the config, and packages lie below the other one.
  const made = [path.dirname(file), dataDir].filter((folder) => !existsSync(folder));
  mkdirSync(path.dirname(file), { recursive: true });
  try {
    const entries = await entriesOf(own, dataDir, options, command);
    const settled = await settle(entries, options, isAsking);
    await tokenToTry(command, options, settled);
    const { isolation } = options;
    const { config, trials } = await triedAtSomeLevel(command, file, settled, {
      isolation,
      isAsking,
    });
    // Not for everybody: what a server needs in its environment may be a secret.
    writeNewFile(file, { text: `${JSON.stringify(config, null, 2)}\n`, mode: 0o600 });
    const name = ownName(globalsOf(command).config);
    const lines: Line[] = [
      `${file} is written.`,
      ...trials.flatMap(trialLines),
      ...settled.notes,
      "",
      "Next:",
      `  ${name} serve`,
      `  ${name} user add alice`,
    ];
    answer(command, { config: file, servers: trials, notes: settled.notes }, lines);
  } catch (error) {
    if (own.kind === "package" && made.includes(dataDir)) await forget(dataDir, own.name);
    for (const folder of made.toReversed()) if (existsSync(folder)) rmdirSync(folder);
    throw error;
  }
}

/** What was fetched for a config that there is not. */
async function forget(dataDir: string, server: string): Promise<void> {
  const { removeInstalls } = await import("../../installs/installs.ts");
  removeInstalls(dataDir, server);
  if (existsSync(installsFolder(dataDir))) rmdirSync(installsFolder(dataDir));
}
