import { randomBytes } from "node:crypto";

/** Of the JSON text of what a POST asks: what is longer leaves its stream without ids, which stay below 128 bytes. */
const MAX_ASKED_BYTES = 64;
/** No stream of another life of the daemon is called like one of this. */
const LIFE = randomBytes(6).toString("base64url");
let streams = 0;

function nextName(): string {
  streams += 1;
  return LIFE + streams.toString(36);
}

/** A new name for a stream on which what is said unasked goes out. */
export const ownStreamName = (): string => `g${nextName()}`;

/**
 * A new name for the stream of a POST with these requests (their ids, as JSON text): whoever comes
 * back with it tells what is to be answered. Undefined where they are too long for that.
 */
export function postStreamName(ids: readonly string[]): string | undefined {
  const asked = ids.length === 1 ? ids[0]! : `[${ids.join()}]`;
  if (Buffer.byteLength(asked) > MAX_ASKED_BYTES) return undefined;
  return `p${nextName()}~${Buffer.from(asked).toString("base64url")}`;
}

/** Where a client stopped reading. */
export interface EventId {
  readonly stream: string;
  readonly n: number;
}

const ID = /^([\w~-]+)\.(\d{1,15})$/;

/** What a client sends as Last-Event-ID; undefined where that is none of the gateway's ids. */
export function readEventId(text: string | undefined): EventId | undefined {
  const [, stream, n] = ID.exec(text ?? "") ?? [];
  return stream === undefined ? undefined : { stream, n: Number(n) };
}

/** The number of an event behind which the client waits for nothing more: of a POST's stream those are odd. */
export const isLastNumber = (n: number): boolean => n % 2 === 1;

/** The number of the next event of a POST's stream. */
export const nextNumber = (n: number, isLast: boolean): number =>
  isLast && !isLastNumber(n) ? n + 1 : n + 2;

/** The ids (JSON text) of the requests whose answers go out on the stream of this name; undefined where it is no POST's. */
export function idsAskedOn(stream: string): readonly string[] | undefined {
  const [, asked] = /^p[\w-]+~([\w-]+)$/.exec(stream) ?? [];
  if (asked === undefined) return undefined;
  try {
    const ids: unknown = JSON.parse(Buffer.from(asked, "base64url").toString());
    const all = Array.isArray(ids) ? ids : [ids];
    return all.every(isId) ? all.map((id) => JSON.stringify(id)) : undefined;
  } catch {
    return undefined;
  }
}

const isId = (id: unknown): boolean => typeof id === "string" || typeof id === "number";
