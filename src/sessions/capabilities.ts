import { SupervisorError } from "../errors.ts";
import type { Message } from "../mcp/envelope.ts";
import { locate, textAt } from "../mcp/json-span.ts";

const MAX_CAPABILITIES_BYTES = 4 * 1024;

/** Keys in order at every level, so that equal capabilities are equal text. */
function ordered(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, ordered(inner)]));
}

/**
 * What the client declares in its `initialize`, as canonical JSON text: sessions that declare the
 * same can share a stdio child, because the child behaves the same towards them.
 *
 * Rejects with REQUEST_INVALID for a first message that is not `initialize`, or for more than a
 * client has reason to declare.
 */
export function capabilitiesOf(body: Buffer, messages: readonly Message[]): string {
  if (messages.length !== 1 || messages[0]!.method !== "initialize")
    throw new SupervisorError("REQUEST_INVALID", "a session begins with initialize");
  const span = locate(body, ["params", "capabilities"]);
  const declared: unknown = span === undefined ? {} : JSON.parse(textAt(body, span));
  const isObject = typeof declared === "object" && declared !== null && !Array.isArray(declared);
  const text = isObject ? JSON.stringify(ordered(declared)) : undefined;
  if (text === undefined || text.length > MAX_CAPABILITIES_BYTES)
    throw new SupervisorError("REQUEST_INVALID", "the capabilities in initialize are not usable");
  return text;
}
