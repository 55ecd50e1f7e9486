import { unawaited } from "../containment.ts";
import type { Audience, LastShown } from "../instances/last-shown.ts";
import type { Manifest } from "../instances/manifests.ts";
import type { Era, Instance } from "../instances/supervisor.ts";
import { negotiated } from "../links/handshake.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isRequest } from "../mcp/envelope.ts";
import { textAt, valueAt } from "../mcp/json-span.ts";
import { resultBytes } from "../mcp/messages.ts";
import { META } from "../mcp/modern.ts";
import type { ModernParams } from "../mcp/modern.ts";
import { canonicalCapabilities, capabilitiesIn } from "./capabilities.ts";
import { isListMethod } from "./list-pages.ts";

/** No version of the protocol is longer. */
const MAX_VERSION = 32;

/** Whom a client with this `initialize` is to its server; undefined where that is not told as it should be. */
export function audienceOf(initialize: ClientMessage, transport: string): Audience | undefined {
  const capabilities = capabilitiesIn(initialize);
  if (capabilities === undefined) return undefined;
  // The gateway negotiates for each session itself.
  if (transport === "stdio") return { era: "legacy", capabilities, version: undefined };
  const span = initialize.find(["params", "protocolVersion"]);
  const version =
    span && span.end - span.start <= MAX_VERSION ? valueAt(initialize.raw, span) : undefined;
  return typeof version === "string" ? { era: "legacy", capabilities, version } : undefined;
}

/** What a request of 2026-07-28 says of its client. */
export interface ModernSays {
  readonly version: string;
  readonly params: ModernParams;
}

/** The same of a client that says it in every request. */
export function modernAudienceOf({ version, params: { _meta } }: ModernSays): Audience | undefined {
  const capabilities = canonicalCapabilities(_meta?.[META.clientCapabilities]);
  return capabilities === undefined ? undefined : { era: "modern", capabilities, version };
}

/** What a client begins with. */
export const GREETS: Readonly<Record<Era, string>> = {
  legacy: "initialize",
  modern: "server/discover",
};

const ALL_GREETINGS = new Set<string | undefined>(Object.values(GREETS));

/** Starts the child behind an answer, which goes out first. What comes of it is for whoever needs the child. */
export function wake(instance: Pick<Instance, "ensure">): void {
  setImmediate(() => unawaited("child", () => {}, instance.ensure()));
}

/** Whether a request asks for what a child shows of itself. */
export const asksToShow = (message: ClientMessage): boolean =>
  isRequest(message) && (ALL_GREETINGS.has(message.method) || isListMethod(message.method));

/**
 * What the child of this instance last showed, as the answer to this request, where it sleeps;
 * undefined where the child itself is to be asked. `audience` is whom that says the request to be of.
 */
export function answerAsleep(
  lastShown: Pick<LastShown, "find">,
  instance: Instance,
  request: ClientMessage,
  audience: () => Audience | undefined,
): Buffer | undefined {
  // Before anything is read: nearly every message is for a child that is awake.
  if (instance.live !== undefined || !asksToShow(request)) return undefined;
  if (request.find(["params", "cursor"]) !== undefined) return undefined;
  const whose = audience();
  const manifest = whose && lastShown.find(instance.ref, whose);
  const result = manifest && resultFor(manifest, whose, request);
  return result && resultBytes(textAt(request.raw, request.find(["id"])!), result);
}

function resultFor(
  { greeting, lists }: Manifest,
  { era, version }: Audience,
  request: ClientMessage,
): Buffer | undefined {
  const { method } = request;
  if (method !== GREETS[era]) return lists.get(method!)?.[0];
  return era === "legacy" && version === undefined ? negotiated(greeting, request) : greeting;
}
