import type { ControlParts } from "./parts.ts";

/** What children and strangers said is in such an answer, and may hold what they should not have sent. */
export const scrubbed = <T extends object>(
  { scrubber }: Pick<ControlParts, "scrubber">,
  answer: T,
): T => JSON.parse(scrubber.scrub(JSON.stringify(answer))) as T;
