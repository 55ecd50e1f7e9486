/** Room: containment. Whatever is thrown while something of one user's is handled ends the smallest thing that owns all it touched, and not the process. In: what was thrown, and whose it was. Out: the INTERNAL that this owner ends with, and word of it for the log and the counters. Knows no owner from within. A throw in what all share is not for here: the state behind it is unknown, and it ends the process. */
import { toSupervisorError } from "./errors.ts";
import type { SupervisorError } from "./errors.ts";

/** What can end without the others: a request of a client, a session of one, a generation of a child. */
export const OWNERS = ["request", "session", "child"] as const;
export type OwnerKind = (typeof OWNERS)[number];

/** What is known of the owner, for the log. */
export type Who = Readonly<Record<string, string | number | null>>;

export interface Contained {
  readonly owner: OwnerKind;
  readonly failure: SupervisorError;
  readonly who: Who;
}

/** What was thrown: a failure may be copied on its way, to tell more. */
const told = new WeakSet<object>();
let listener = ({ failure }: Contained): void => process.emitWarning(failure.cause as Error);

/** From now on all that this process contains is told to this one. */
export function onContained(tell: (contained: Contained) => void): void {
  listener = tell;
}

/**
 * What the owner ends with: a failure that has a code as it is, anything else as INTERNAL, which is
 * told, once, however many hands it goes through.
 */
export function contained(owner: OwnerKind, thrown: unknown, who: Who = {}): SupervisorError {
  const failure = toSupervisorError(thrown);
  const { code, cause = failure } = failure;
  const source = typeof cause === "object" && cause !== null ? cause : failure;
  if (code !== "INTERNAL" || told.has(source)) return failure;
  told.add(source);
  listener({ owner, failure, who });
  return failure;
}

/** The same work, for callers who could not end its owner: timers, listeners, sockets. `end` is given what was thrown. */
export function guarded<A extends readonly unknown[]>(
  owner: OwnerKind,
  end: (failure: SupervisorError) => void,
  work: (...args: A) => void,
): (...args: A) => void {
  return (...args) => {
    try {
      work(...args);
    } catch (error) {
      end(contained(owner, error));
    }
  };
}

/** As `guarded`, for work that nobody waits for. */
export function unawaited(
  owner: OwnerKind,
  end: (failure: SupervisorError) => void,
  work: Promise<unknown>,
): void {
  work.catch((error: unknown) => end(contained(owner, error)));
}

/** As `unawaited`, for what may fail, for a cause that is known, and change nothing. */
export function unheard(
  owner: OwnerKind,
  end: (failure: SupervisorError) => void,
  work: Promise<unknown>,
): void {
  work.catch((error: unknown) => {
    const failure = contained(owner, error);
    if (failure.code === "INTERNAL") end(failure);
  });
}
