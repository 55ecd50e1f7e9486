import { SupervisorError } from "../errors.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { textAt, valueAt } from "../mcp/json-span.ts";
import { LEGACY_VERSIONS } from "../mcp/versions.ts";
import { orderedJson } from "../platform/ordered-json.ts";

const MAX_CAPABILITIES_BYTES = 4 * 1024;
/** With the white space of whoever wants to read it. */
const MAX_WRITTEN_BYTES = 16 * 1024;

const unusable = () =>
  new SupervisorError("REQUEST_INVALID", "the capabilities in initialize are not usable");

/** The same declaration of capabilities as canonical JSON text, however it is written; undefined for more than a client has reason to declare. */
export function canonicalCapabilities(declared: unknown): string | undefined {
  const isObject = typeof declared === "object" && declared !== null && !Array.isArray(declared);
  const text = isObject ? orderedJson(declared) : undefined;
  return (text?.length ?? 0) > MAX_CAPABILITIES_BYTES ? undefined : text;
}

/**
 * What the client declares in its `initialize`, as canonical JSON text: sessions that declare the
 * same can share a stdio child, because the child behaves the same towards them.
 *
 * Rejects with REQUEST_INVALID for a first message that is not `initialize`, or for more than a
 * client has reason to declare.
 */
export function capabilitiesOf(messages: readonly ClientMessage[]): string {
  const [first] = messages;
  if (messages.length !== 1 || first!.method !== "initialize")
    throw new SupervisorError("REQUEST_INVALID", "a session begins with initialize");
  const text = capabilitiesIn(first!);
  if (text === undefined) throw unusable();
  return text;
}

/** As `capabilitiesOf`; undefined in place of an error. */
export function capabilitiesIn(initialize: ClientMessage): string | undefined {
  const span = initialize.find(["params", "capabilities"]);
  // Judged before it is read: to read megabytes of nesting is work that everybody waits for.
  if (span !== undefined && span.end - span.start > MAX_WRITTEN_BYTES) return undefined;
  return canonicalCapabilities(span === undefined ? {} : valueAt(initialize.raw, span));
}

/** Which legacy version the client asks for in its `initialize`, if it is one that we know. */
export function versionWantedBy(message: ClientMessage): string | undefined {
  const span = message.find(["params", "protocolVersion"]);
  return LEGACY_VERSIONS.find((version) => span && textAt(message.raw, span) === `"${version}"`);
}
