import type { Posting } from "../links/link.ts";
import { cancelledBy } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isResponse } from "../mcp/envelope.ts";
import type { Attachment } from "./attachment.ts";
import type { InFlight } from "./in-flight.ts";
import { labelIn } from "./labels.ts";

const COMMA = Buffer.from(",");

/** The same posting with these of its messages alone. */
export function postingOf(posting: Posting, messages: readonly ClientMessage[]): Posting {
  if (messages === posting.messages) return posting;
  const [only] = messages;
  if (messages.length === 1) return { ...posting, messages, body: only!.raw };
  const parts = messages.flatMap(({ raw }, index) => (index === 0 ? [raw] : [COMMA, raw]));
  return {
    ...posting,
    messages,
    body: Buffer.concat([Buffer.from("["), ...parts, Buffer.from("]")]),
  };
}

/** Whether a message can only mean something to the generation that it is about. */
const isAbout = (message: ClientMessage): boolean =>
  isResponse(message) ||
  message.method === "notifications/cancelled" ||
  message.method === "notifications/progress";

/** The places of a session: the one that takes its messages, if it is on one, and those that drain. */
export interface Places {
  readonly now: Attachment | undefined;
  /** The one that is being told what the last one knew, and may have asked something already. */
  readonly arriving?: Attachment | undefined;
  readonly drained: Iterable<Attachment>;
  readonly inFlight: InFlight | undefined;
}

/**
 * What of a posting goes to the generation that takes messages; undefined where that is nothing. What
 * is about a request of another one is sent there, or is dropped where that is gone.
 */
export function route(posting: Posting, places: Places): Posting | undefined {
  const { messages } = posting;
  // Nearly every message is a request of its own.
  if (!messages.some(isAbout)) return places.now === undefined ? undefined : posting;
  const kept: ClientMessage[] = [];
  let isSame = true;
  for (const message of messages) {
    const at = isAbout(message) ? placeOf(message, places) : places.now;
    const own = at?.outgoing(message);
    if (own === undefined || at !== places.now) {
      if (own !== undefined) at!.tellUnheard(own);
      isSame = false;
      continue;
    }
    if (own !== message) isSame = false;
    kept.push(own);
  }
  if (isSame) return posting;
  return kept.length === 0 ? undefined : postingOf(posting, kept);
}

function placeOf(
  message: ClientMessage,
  { now, arriving, drained, inFlight }: Places,
): Attachment | undefined {
  const all = now === undefined ? [...drained] : [now, ...drained];
  if (message.method === "notifications/cancelled") {
    const open = inFlight?.find(cancelledBy(message) ?? "");
    // Of what is not under way the server may know more.
    return open === undefined ? now : all.find((at) => at === open.carrier);
  }
  const label = labelIn(message);
  return [arriving, ...all].find((at) => at !== undefined && at.epoch === label);
}
