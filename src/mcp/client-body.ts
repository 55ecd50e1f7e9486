import { QUOTE } from "./bytes.ts";
import { canonicalId } from "./envelope.ts";
import type { Message } from "./envelope.ts";
import { findSeldom, locate, textAt, valueAt } from "./json-span.ts";
import type { Span } from "./json-span.ts";
import { JsonWalk } from "./json-walk.ts";
import type { Names, Place } from "./json-walk.ts";
import { META } from "./modern.ts";

/** A message that a client posted. */
export interface ClientMessage extends Message {
  /** Its own bytes, alone or as they stand in the batch. */
  readonly raw: Buffer;
  /** Of a `tools/call`: the name of the tool. */
  readonly tool: string | undefined;
  /** Where in `raw` the value at a path of keys stands, of those in `NOTED`; see `locate`. */
  find(path: readonly string[]): Span | undefined;
}

export interface Posted {
  readonly kind: "messages";
  readonly messages: readonly ClientMessage[];
  readonly isBatch: boolean;
}

export type Peek =
  | Posted
  | { readonly kind: "not-json" }
  | { readonly kind: "not-rpc"; readonly why: string };

/** More than any client has to say at once; what one message costs beside its bytes is bounded by it. */
export const MAX_BATCH = 1000;
/** Of an id or a method, as it is written; no client's comes near it. */
const MAX_NAME_BYTES = 1024;
/** A body up to here is read at once, within a few milliseconds whatever it holds. */
export const SMALL_BODY_BYTES = 64 * 1024;
/** As much as is read in a millisecond or two. */
const SLICE_BYTES = 128 * 1024;

const HERE: Names = {};
/** All that anybody asks a client's message for. */
const NOTED: Names = {
  id: HERE,
  method: HERE,
  result: HERE,
  error: HERE,
  params: {
    arguments: HERE,
    capabilities: HERE,
    cursor: HERE,
    level: HERE,
    name: HERE,
    protocolVersion: HERE,
    requestId: HERE,
    task: { ttl: HERE },
    taskId: HERE,
    uri: HERE,
    _meta: {
      progressToken: HERE,
      [META.protocolVersion]: HERE,
      [META.clientCapabilities]: HERE,
      [META.logLevel]: HERE,
    },
  },
};

/** What a client's POST body says, or why it is not JSON (-32700) or not one JSON-RPC envelope or batch (-32600). */
export function peek(body: Buffer): Peek {
  const plain = plainMessage(body);
  if (plain !== undefined) return { kind: "messages", messages: [plain], isBatch: false };
  const walk = new JsonWalk(body, NOTED, MAX_BATCH);
  return walked(body, walk, walk.advance(body.length) ?? "not json");
}

/** As `peek`, for a body of any size, in steps between which other work gets its turn. */
export class LongPeek {
  readonly #body: Buffer;
  readonly #walk: JsonWalk;

  constructor(body: Buffer) {
    this.#body = body;
    this.#walk = new JsonWalk(body, NOTED, MAX_BATCH);
  }

  /** Undefined until the body is read. */
  advance(): Peek | undefined {
    const end = this.#walk.advance(SLICE_BYTES);
    return end && walked(this.#body, this.#walk, end);
  }
}

/** What is wrong with the body, as a sentence that repeats nothing of it. */
export function faultOfBody(seen: Exclude<Peek, { readonly kind: "messages" }>): string {
  return seen.kind === "not-json" ? "the body is not JSON" : `the body is ${seen.why}`;
}

/**
 * The message as an object, of whose params a large one has only what was noted: to build all of it
 * would hold up everybody.
 */
export function valueOf(message: ClientMessage): unknown {
  const { raw, id, method } = message;
  if (raw.length <= SMALL_BODY_BYTES) return JSON.parse(raw.toString("utf8"));
  const at = (...path: string[]): unknown => {
    const span = message.find(path);
    return span && span.end - span.start <= SMALL_BODY_BYTES ? valueAt(raw, span) : undefined;
  };
  const params = {
    name: at("params", "name"),
    uri: at("params", "uri"),
    taskId: at("params", "taskId"),
    _meta: at("params", "_meta"),
    // Seldom asked for.
    get arguments(): unknown {
      const span = message.find(["params", "arguments"]);
      return span && valueAt(raw, span);
    },
  };
  return { id, method, params };
}

/**
 * A message of our own, which goes the same way; `id` as `canonicalId` has it. The text is not read:
 * an id of a server's is repeated as it came, and may make it no JSON.
 */
export function ownMessage(text: string, id: string | undefined, method?: string): ClientMessage {
  return new PlainMessage(Buffer.from(text), id, method, UNREAD);
}

/** A `tools/call` of our own; `args` is JSON text of an object. */
export function ownCall(id: string, tool: string, args: Buffer): ClientMessage {
  const head = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":${JSON.stringify(tool)},"arguments":`;
  const raw = Buffer.concat([Buffer.from(head), args, Buffer.from("}}")]);
  return new PlainMessage(raw, id, "tools/call", { name: tool });
}

/** Of params of which nobody knows what stands in them. */
const UNREAD: Params = { _meta: true, task: true };

/** The id, as `canonicalId` has it, of the request that this message cancels. */
export function cancelledBy(message: ClientMessage): string | undefined {
  const span = message.find(["params", "requestId"]);
  return span && canonicalId(textAt(message.raw, span));
}

interface Envelope {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** As much of a message's params as is looked at when it is read. */
interface Params {
  readonly name?: unknown;
  readonly _meta?: unknown;
  readonly task?: unknown;
}

/** Most messages: JSON.parse has read it, and what else is asked for is looked for in its bytes. */
class PlainMessage implements ClientMessage {
  readonly raw: Buffer;
  readonly id: string | undefined;
  readonly method: string | undefined;
  readonly tool: string | undefined;
  /** Of the params that are asked for in every message and stand in few: without them no byte is looked at. */
  readonly #hasMeta: boolean;
  readonly #hasTask: boolean;

  constructor(raw: Buffer, id: string | undefined, method: string | undefined, params: Params) {
    const { name, _meta, task } = params;
    this.raw = raw;
    this.id = id;
    this.method = method;
    this.tool = method === "tools/call" && typeof name === "string" ? name : undefined;
    this.#hasMeta = _meta !== undefined;
    this.#hasTask = task !== undefined;
  }

  find(path: readonly string[]): Span | undefined {
    if (path[1] === "_meta" && !this.#hasMeta) return undefined;
    if (path[1] === "task" && !this.#hasTask) return undefined;
    return path.length === 1 ? locate(this.raw, path) : findSeldom(this.raw, path);
  }
}

/**
 * The message as JSON.parse sees it, where its text leaves no doubt that other readers see the same:
 * the keys stand there once at most, none is written with escapes, and the number is one that
 * parsers keep. Nearly every message is of this kind, and is spared a walk.
 */
function plainMessage(body: Buffer): ClientMessage | undefined {
  const text = body.toString("utf8");
  if (text.includes("\\u") || standsTwice(text, '"id"') || standsTwice(text, '"method"'))
    return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (faultOf(value) !== undefined) return undefined;
  const { id, method, params } = value as Envelope & { method?: string };
  if (typeof id === "number" && !Number.isSafeInteger(id)) return undefined;
  const canonical = id === undefined || id === null ? undefined : JSON.stringify(id);
  if ((canonical?.length ?? 0) > MAX_NAME_BYTES || (method?.length ?? 0) > MAX_NAME_BYTES)
    return undefined;
  return new PlainMessage(body, canonical, method, params ?? {});
}

function standsTwice(text: string, key: string): boolean {
  const first = text.indexOf(key);
  return first !== -1 && text.includes(key, first + key.length);
}

/** A message of a batch, of a large body, or one with more than one reading; all that is asked for was noted in passing. */
class WalkedMessage implements ClientMessage {
  readonly raw: Buffer;
  readonly id: string | undefined;
  readonly method: string | undefined;
  readonly tool: string | undefined;
  readonly #place: Place;

  constructor(body: Buffer, place: Place, { id, method }: Envelope) {
    this.raw = body.subarray(place.start, place.end);
    this.#place = place;
    const isNone = id === undefined || id === null;
    this.id = isNone ? undefined : canonicalId(textAt(body, place.inside!.get("id")!));
    this.method = method as string | undefined;
    const name = method === "tools/call" ? this.find(["params", "name"]) : undefined;
    const isText = name !== undefined && this.raw[name.start] === QUOTE;
    this.tool = isText ? (valueAt(this.raw, name) as string) : undefined;
  }

  find(path: readonly string[]): Span | undefined {
    let place: Place | undefined = this.#place;
    for (const key of path) place = place?.inside?.get(key);
    const { start } = this.#place;
    return place && { start: place.start - start, end: place.end - start };
  }
}

const refuse = (why: string): Peek => ({ kind: "not-rpc", why });

function walked(
  body: Buffer,
  { values, isArray }: JsonWalk,
  end: "json" | "not json" | "too many values",
): Peek {
  if (end === "not json") return { kind: "not-json" };
  if (end === "too many values") return refuse(`a batch of over ${MAX_BATCH} messages`);
  if (isArray && values.length === 0) return refuse("an empty batch");
  const messages: ClientMessage[] = [];
  for (const place of values) {
    const { inside, repeated } = place;
    if (repeated?.has("id") || repeated?.has("method"))
      return refuse("id or method stands twice in one message");
    if (isLong(inside?.get("id")) || isLong(inside?.get("method")))
      return refuse("a message with an id or method that is too long");
    const part = inside && envelopeIn(body, inside);
    const why = faultOf(part);
    if (why !== undefined) return refuse(why);
    messages.push(new WalkedMessage(body, place, part!));
  }
  return { kind: "messages", messages, isBatch: isArray };
}

const isLong = (place: Place | undefined): boolean =>
  place !== undefined && place.end - place.start > MAX_NAME_BYTES;

/** As far as it has to be judged. */
function envelopeIn(body: Buffer, inside: ReadonlyMap<string, Place>): Envelope {
  const part: Record<string, unknown> = {};
  for (const name of ["id", "method"]) {
    const place = inside.get(name);
    if (place !== undefined) part[name] = valueAt(body, place);
  }
  for (const name of ["result", "error"]) if (inside.has(name)) part[name] = true;
  return part;
}

function faultOf(part: unknown): string | undefined {
  if (typeof part !== "object" || part === null || Array.isArray(part))
    return "not a JSON-RPC message";
  const { id, method, result, error } = part as Envelope;
  if (id !== undefined && id !== null && typeof id !== "string" && typeof id !== "number") {
    return "the id is neither a string nor a number";
  }
  if (method === undefined)
    return result === undefined && error === undefined
      ? "neither a request nor an answer"
      : undefined;
  if (typeof method !== "string") return "the method is not a string";
  // Some take it for a request and some for a notification; MCP forbids it.
  return id === null ? "a request whose id is null" : undefined;
}
