import type { Live } from "../instances/supervisor.ts";
import type { PostLink } from "./bridged-link.ts";

/** The link of an SSE session to its server. */
export type LinkState =
  | { readonly kind: "none" }
  | { readonly kind: "opening"; readonly opening: Promise<PostLink> }
  | { readonly kind: "open"; readonly link: PostLink; readonly live: Live }
  | { readonly kind: "lost" }
  | { readonly kind: "closed" };
