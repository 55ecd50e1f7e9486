import type { SupervisorError } from "../errors.ts";
import { onAbort } from "../platform/abort.ts";
import { describeExit, describeStrain, onOverload } from "./describe-exit.ts";
import type { Ended } from "./instance-types.ts";
import type { Running } from "../engines/engine.ts";

/** As a predicate of the child, like those of describe-exit. */
const BROKEN = "was ended: something failed here over what it wrote, and the log tells what";

/** What is told of a child, all as predicates of it. */
export interface ChildWatcher {
  /** Whether this generation is still the one that serves; nothing is told of another. */
  isServing(): boolean;
  /** It reached a limit that it lives on with. */
  strained(how: string): void;
  busy(how: string): void;
  /** Somebody else will end it soon; with the reason of its replacement. */
  leaving(reason: string): void;
  /** It ended by itself, or it has to: it closed a pipe, or what it wrote made something of ours throw. */
  ended(how: Ended): void;
}

/** Watches over a child that is ready, to its end; `broken` aborts as that of `Launched`. */
export function watchChild(
  running: Running,
  broken: AbortSignal | undefined,
  watcher: ChildWatcher,
): void {
  const tell = (act: () => void): void => {
    if (watcher.isServing()) act();
  };
  const end = (how: Ended): void => tell(() => watcher.ended(how));
  void running.strained.then((hit) => tell(() => watcher.strained(describeStrain(hit))));
  onOverload(running, (how) => tell(() => watcher.busy(how)));
  void running.exited.then((exit) => end({ reason: describeExit(exit), exit }));
  // Nothing more can be said to it, or heard of it.
  void running.disconnected.then((pipe) => end({ reason: `closed its ${pipe}`, exit: null }));
  void running.lost?.then((how) => end({ reason: how, exit: null }));
  void running.leaving?.then((reason) => tell(() => watcher.leaving(reason)));
  if (broken === undefined) return;
  onAbort(broken, () =>
    end({ reason: BROKEN, exit: null, failure: broken.reason as SupervisorError }),
  );
}
