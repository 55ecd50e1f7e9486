import type { Attachment } from "./attachment.ts";

/** Where a session stands with its server. */
export type SessionState =
  /** On no generation: its next message brings one, and the session is replayed into it. */
  | { readonly kind: "away" }
  /** As away, and no instance serves it: its client is away as well. */
  | { readonly kind: "parked" }
  | { readonly kind: "attaching"; readonly attaching: Promise<Attachment> }
  | { readonly kind: "attached"; readonly at: Attachment }
  /** Its server has ended or given it up, and nothing takes it over. */
  | { readonly kind: "lost" }
  | { readonly kind: "closed" };
