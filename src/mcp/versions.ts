/** The revisions that begin with an `initialize` handshake, newest first. */
export const LEGACY_VERSIONS = [
  "2025-11-25",
  "2025-06-18",
  "2025-03-26",
  "2024-11-05",
  "2024-10-07",
] as const;

export function isLegacyVersion(text: string): boolean {
  return LEGACY_VERSIONS.some((version) => version === text);
}

/** What the gateway offers a child: the newest that has a handshake. */
export const OFFERED_VERSION = LEGACY_VERSIONS[0];

/**
 * The version of a session whose client asked for `wanted`, over a child that speaks `spoken`: what
 * the client wants where the child knows that too, else what the child speaks (MCP, version
 * negotiation). Dates compare as text.
 */
export function negotiate(wanted: unknown, spoken: string): string {
  const isKnown = typeof wanted === "string" && isLegacyVersion(wanted);
  return isKnown && wanted <= spoken ? wanted : spoken;
}
