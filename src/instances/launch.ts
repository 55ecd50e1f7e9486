import { guarded } from "../containment.ts";
import { isPodServer } from "../config/child-servers.ts";
import { toSupervisorError } from "../errors.ts";
import { definitionOf } from "./definition.ts";
import { failureOfLaunch } from "./launch-failure.ts";
import { untilTarget } from "./until-target.ts";
import { CUT_MARK } from "../platform/line-window.ts";
import { Offers } from "../links/offers.ts";
import type { Running } from "../engines/engine.ts";
import type { Attempt, FailedTry, Launched, LaunchInput, NotLaunched } from "./launch-types.ts";
import type { SupervisorError } from "../errors.ts";

/** How often a child may find that somebody else took its port before that is its failure. */
const MAX_STOLEN_PORTS = 5;
/** How much of what a server refused with is kept for the admin. */
const REFUSAL_LENGTH = 500;

/**
 * Starts a child and waits until it is ready: INSTANCE_SPAWN_FAILED, RESOURCES_EXHAUSTED, DISK_FULL,
 * INSTANCE_EXITED or INSTANCE_START_TIMEOUT otherwise, with its last output lines as details. Never rejects.
 */
export async function launchChild(input: LaunchInput): Promise<Launched | NotLaunched> {
  // A pod may wait for its node for long: its time to become ready begins when it runs.
  const deadline = isPodServer(input.def) ? undefined : AbortSignal.timeout(input.startTimeoutMs);
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
    const goesOn = outcome.isPortStolen
      ? stolen++ < MAX_STOLEN_PORTS && !isPinned(outcome.running)
      : outcome.hasEnded && offers.processEnded();
    if (!goesOn || input.signal.aborted || deadline?.aborted === true) return outcome;
    await outcome.gone;
  }
}

const cut = (text: string): string =>
  text.length > REFUSAL_LENGTH ? text.slice(0, REFUSAL_LENGTH) + CUT_MARK : text;

const isPinned = (running: Running | undefined): boolean =>
  running?.endpoint.kind === "port" && running.endpoint.isPinned;

async function launchOnce(
  given: LaunchInput,
  common: AbortSignal | undefined,
  offers: Offers,
): Promise<Launched | FailedTry> {
  const broken = new AbortController();
  const onBroken = (failure: SupervisorError): void => broken.abort(failure);
  const input = { ...given, onLine: guarded("child", onBroken, given.onLine) };
  const startedAt = Date.now();
  let running: Running;
  try {
    running = await input.engine.start(input, input);
  } catch (error) {
    const failure = toSupervisorError(error);
    const none = { isReady: false, running: undefined, gone: Promise.resolve() } as const;
    return { ...none, failure, isPortStolen: false, hasEnded: false };
  }
  input.onSpawn(running);
  const deadline = common ?? AbortSignal.timeout(input.startTimeoutMs);
  const exit = new AbortController();
  void running.exited.then((how) => exit.abort(how));
  const signals = { deadline, exit: exit.signal, broken: broken.signal };
  const attempt: Attempt = { input, running, ...signals, offers, startedAt };
  let missing = "";
  try {
    const ready = await untilTarget(attempt, onBroken, (what) => (missing = what));
    return { isReady: true, running, broken: broken.signal, ...ready };
  } catch (error) {
    const why = await failureOfLaunch(attempt, error, missing);
    // What a dead leader left behind has nobody to end it in good order.
    const gone = exit.signal.aborted ? running.kill() : running.stop();
    return { isReady: false, running, gone, ...why };
  }
}
