import { setImmediate as nextTurn } from "node:timers/promises";
import type { SupervisorError } from "../errors.ts";
import type { Listener } from "../links/link.ts";
import type { Unanswered } from "./in-flight.ts";

/** Answers what waited with why it gets no other answer; what it rejects with breaks the session. */
export type TellAll = (cause: SupervisorError) => Promise<void>;

/**
 * How the client of a session hears of it: what differs between a stream of HTTP with SSE, the
 * answers and streams of Streamable HTTP over a bridge, and a relay. Nothing of it throws.
 */
export interface Front extends Listener {
  /** What a request that was cut off is answered with, where nothing better is known. */
  readonly cutOff: SupervisorError;
  /**
   * The child is gone. Takes what waits for an answer at once, since what the client asks from now on
   * is for the next one; undefined where nothing waits.
   */
  interrupt(unanswered: readonly Unanswered[]): TellAll | undefined;
  /** The session is over, and what waited has been told: the client's streams end. */
  end(): void;
}

/** Ends the client's streams once it is told, behind what those hear who wait for a way to the server: it reaches them within this turn. */
export async function endBehind(front: Front, told: Promise<void> | undefined): Promise<void> {
  await told;
  await nextTurn();
  front.end();
}
