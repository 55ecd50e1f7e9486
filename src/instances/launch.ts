import { setTimeout as delay } from "node:timers/promises";
import { guarded } from "../containment.ts";
import { SupervisorError, shortageOf, toSupervisorError } from "../errors.ts";
import { childSpec } from "./child-spec.ts";
import { definitionOf } from "./definition.ts";
import type { DefinitionMemory } from "./definition.ts";
import { describeExit } from "./describe-exit.ts";
import { preparePrivateHome, removeTmp } from "./private-home.ts";
import { untilReady } from "./readiness.ts";
import { untilAnswering } from "./stdio-readiness.ts";
import { fillTemplate } from "../config/template.ts";
import type { ChildServer, Config } from "../config/config.ts";
import { eraOfVariant, isOwnVariant } from "./instance-types.ts";
import type { Ref } from "./instance-types.ts";
import type { Target } from "../links/target.ts";
import type { Box, Isolation } from "./isolation.ts";
import type { OutputLog } from "./output-log.ts";
import type { Ports } from "./ports.ts";
import { holdAccount } from "../engines/process/accounts.ts";
import { CUT_MARK, LineWindow } from "../engines/process/line-splitter.ts";
import { Offers } from "../links/offers.ts";
import type { Exit, OnLine, Running, StartRunner } from "../engines/process/runner.ts";

/** How often a child may find that somebody else took its port before that is its failure. */
const MAX_STOLEN_PORTS = 5;
/** How long the last words of a child that exited may take to arrive: a grandchild may keep the pipe open. */
const LAST_WORDS_MS = 200;
const DETAIL_LINES = 20;
/** How much of a line that is no message is kept for the admin. */
const FAULT_BYTES = 500;
/** More of them say nothing new. */
const MAX_FAULTS_PER_WINDOW = 100;
/** What a child is told that serves whoever comes: no more than every client that declares one of these can do. */
const OF_WHOEVER_COMES = '{"elicitation":{},"roots":{"listChanged":true},"sampling":{}}';

export interface LaunchInput {
  ref: Ref;
  def: ChildServer;
  /** What the clients of a stdio child declared, as JSON text. */
  capabilities: string;
  /** The version that a client asked for that waits for this start. */
  wanted: string | undefined;
  token: string | undefined;
  version: string;
  /** Which version a stdio server took that had refused another. */
  versions: DefinitionMemory;
  config: Pick<Config, "dataDir" | "resumeWindowMs">;
  startTimeoutMs: number;
  stopTimeoutMs: number;
  ports: Ports;
  isolation: Isolation;
  start: StartRunner;
  output: OutputLog;
  onLine: OnLine;
  onSpawn: (pid: number, port: number | null) => void;
  /** Aborts the start; its reason is the failure then. */
  signal: AbortSignal;
}

export interface Launched {
  isReady: true;
  running: Running;
  port: number | null;
  target: Target;
  /** Addresses beyond loopback it listens on. */
  exposed: string[];
  /** Aborts when what it wrote made something of ours throw, which is its reason: the child has to end. */
  broken: AbortSignal;
}

export interface NotLaunched {
  isReady: false;
  failure: SupervisorError;
  pid: number | null;
  port: number | null;
  /** Resolves when nothing of the child is left. */
  gone: Promise<void>;
}

/** Frees the port, if there is one, when nothing of the child can listen on it any more. */
export async function releaseAfter(
  gone: Promise<unknown>,
  ports: Ports,
  port: number | null,
): Promise<void> {
  await gone;
  if (port !== null) ports.release(port);
}

/**
 * Starts a child and waits until it is ready: INSTANCE_SPAWN_FAILED, RESOURCES_EXHAUSTED, DISK_FULL,
 * INSTANCE_EXITED or INSTANCE_START_TIMEOUT otherwise, with its last output lines as details. Never rejects.
 */
export async function launchChild(input: LaunchInput): Promise<Launched | NotLaunched> {
  const deadline = AbortSignal.timeout(input.startTimeoutMs);
  const definition = definitionOf(input.def);
  const offers = new Offers({
    remembered: input.versions.find(definition),
    wanted: input.wanted,
    clean: (text) => input.output.scrub(cut(text)),
  });
  let stolen = 0;
  for (;;) {
    const outcome = await launchOnce(input, deadline, offers);
    if (outcome.isReady) {
      const { next, refusal } = offers;
      if (refusal !== undefined && next !== undefined) input.versions.keep(definition, next);
      return outcome;
    }
    const isPinned = input.ports.pinOf(input.ref) !== undefined;
    const goesOn = outcome.isPortStolen
      ? stolen++ < MAX_STOLEN_PORTS && !isPinned
      : outcome.hasEnded && offers.processEnded();
    if (!goesOn || input.signal.aborted || deadline.aborted) return outcome;
    await outcome.gone;
  }
}

const cut = (text: string): string =>
  text.length > FAULT_BYTES ? text.slice(0, FAULT_BYTES) + CUT_MARK : text;

interface Failed extends NotLaunched {
  isPortStolen: boolean;
  /** It ended by itself, or closed its input. */
  hasEnded: boolean;
}

async function launchOnce(
  given: LaunchInput,
  deadline: AbortSignal,
  offers: Offers,
): Promise<Launched | Failed> {
  const broken = new AbortController();
  const onBroken = (failure: SupervisorError): void => broken.abort(failure);
  const input = { ...given, onLine: guarded("child", onBroken, given.onLine) };
  const { ref, def, ports, signal } = input;
  const startedAt = Date.now();
  let port: number | null = null;
  let running: Running;
  try {
    const box = input.isolation.boxFor(ref, def);
    port = box.privatePort;
    if (def.transport !== "stdio") port ??= await ports.take(ref);
    running = await spawnChild(input, box, port);
  } catch (error) {
    if (port !== null) ports.release(port);
    const failure = toSupervisorError(error);
    return {
      isReady: false,
      failure,
      pid: null,
      port,
      gone: Promise.resolve(),
      isPortStolen: false,
      hasEnded: false,
    };
  }
  const { pid } = running;
  input.onSpawn(pid, port);

  const exit = new AbortController();
  void running.exited.then((how) => exit.abort(how));
  let missing = "";
  try {
    const ready = await untilTarget(input, running, port, {
      signal: AbortSignal.any([signal, deadline, exit.signal, broken.signal]),
      onMissing: (what) => (missing = what),
      onBroken,
      offers,
    });
    return { isReady: true, running, port, broken: broken.signal, ...ready };
  } catch (error) {
    let failure: SupervisorError;
    let isPortStolen = false;
    let hasEnded = exit.signal.aborted;
    // What it said first is what tells why: what came after it is about other versions.
    const refusal = offers.refusal?.message;
    const fail = (
      code: "INSTANCE_EXITED" | "INSTANCE_START_TIMEOUT",
      what: string,
      cause?: SupervisorError,
    ) =>
      new SupervisorError(code, `${ref.user}/${ref.server}: the child ${what}`, {
        cause,
        details: input.output.tail(ref.variant, DETAIL_LINES, startedAt),
      });
    if (signal.aborted) failure = toSupervisorError(signal.reason);
    else if (exit.signal.aborted) {
      const how = describeExit(await running.exited);
      isPortStolen = port !== null && (await running.listenersOn(port)).foreign.length > 0;
      await Promise.race([running.drained, delay(LAST_WORDS_MS)]);
      failure = fail(
        "INSTANCE_EXITED",
        `${how} before it was ready${isPortStolen ? `, and another process holds port ${port}` : ""}${refusal === undefined ? "" : `: ${refusal}`}`,
      );
    } else if (deadline.aborted) {
      failure = fail(
        "INSTANCE_START_TIMEOUT",
        `was not ready within ${input.startTimeoutMs / 1000} s: ${refusal ?? missing}`,
      );
    } else {
      const cause = toSupervisorError(error);
      hasEnded = cause.code === "UPSTREAM_RESET";
      const what = `was ended before it was ready: ${broken.signal.aborted ? cause.message : (refusal ?? cause.message)}`;
      failure = fail("INSTANCE_EXITED", what, cause);
    }
    // What a dead leader left behind has nobody to end it in good order.
    const ending = exit.signal.aborted ? running.kill() : running.stop();
    const gone = releaseAfter(ending, ports, port);
    return { isReady: false, failure, pid, port, gone, isPortStolen, hasEnded };
  }
}

interface Wait {
  signal: AbortSignal;
  onMissing: (missing: string) => void;
  onBroken: (failure: SupervisorError) => void;
  offers: Offers;
}

/** Waits until the child is ready, in the way of its transport. */
async function untilTarget(
  input: LaunchInput,
  running: Running,
  port: number | null,
  wait: Wait,
): Promise<{ target: Target; exposed: string[] }> {
  const { def, ref, version, onLine } = input;
  if (def.transport === "stdio" || port === null) {
    const window = new LineWindow((text) => onLine("stdout", text), MAX_FAULTS_PER_WINDOW);
    const onFault = (what: string, line: Buffer | undefined): void => {
      if (!window.admits()) return;
      const text = line?.toString("utf8", 0, FAULT_BYTES) ?? "";
      const mark = line !== undefined && line.length > FAULT_BYTES ? CUT_MARK : "";
      onLine("stdout", `[the child wrote ${what}] ${text}${mark}`);
    };
    const era = eraOfVariant(ref.variant);
    const { resumeWindowMs } = input.config;
    const capabilities = def.sharing === "user" ? OF_WHOEVER_COMES : input.capabilities;
    const isOwn = isOwnVariant(ref.variant);
    const told = { era, capabilities, isOwn, resumeWindowMs, version };
    const target = await untilAnswering({ running, onFault, ...told, ...wait });
    return { target, exposed: [] };
  }
  const path = fillTemplate(def.path, { port, user: ref.user });
  const { url, exposed } = await untilReady({
    running,
    port,
    transport: def.transport,
    path,
    ...wait,
  });
  const { socketPath } = running;
  return {
    target: { transport: def.transport, url, headers: {}, isRemote: false, socketPath },
    exposed,
  };
}

async function spawnChild(input: LaunchInput, box: Box, port: number | null): Promise<Running> {
  // What is done with its rights before it runs must not be ended with the account's last child.
  const release = await holdAccount(box.level === "user" ? box.owner : undefined);
  try {
    return await spawnAtHome(input, box, port);
  } finally {
    await release();
  }
}

async function spawnAtHome(input: LaunchInput, box: Box, port: number | null): Promise<Running> {
  const { ref, def, token, stopTimeoutMs } = input;
  const name = `${ref.user}/${ref.server}`;
  let home: Awaited<ReturnType<typeof preparePrivateHome>>;
  try {
    home = await preparePrivateHome(input.config.dataDir, ref, box.owner);
  } catch (cause) {
    const what = `${name}: its private home could not be prepared`;
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown reason";
    const failure = new SupervisorError("INSTANCE_SPAWN_FAILED", `${what} (${code})`, { cause });
    throw shortageOf(cause, what) ?? failure;
  }
  const confinement = box.confinement(home, port);
  const spec = childSpec({
    ref,
    def,
    port: port ?? undefined,
    home,
    confinement,
    token,
    stopTimeoutMs,
  });
  try {
    input.signal.throwIfAborted();
    return withEnd(await input.start(spec, input.onLine), () => removeTmp(home.tmp));
  } catch (cause) {
    await removeTmp(home.tmp);
    if (input.signal.aborted) throw cause;
    const { code, message, details, retryAfterSeconds } = toSupervisorError(cause);
    throw new SupervisorError(code, `${name}: the child ${message}`, {
      cause,
      details,
      retryAfterSeconds,
    });
  }
}

/** The same, with something to be done when nothing of it is left. */
function withEnd(running: Running, atEnd: () => Promise<void>): Running {
  let done: Promise<void> | undefined;
  const after = async (ending: Promise<Exit>): Promise<Exit> => {
    const exit = await ending;
    await (done ??= atEnd());
    return exit;
  };
  return {
    ...running,
    get isSpent() {
      return running.isSpent;
    },
    stop: () => after(running.stop()),
    kill: () => after(running.kill()),
  };
}
