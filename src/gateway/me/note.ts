import { orderRow } from "../../audit/audit.ts";
import type { Audit } from "../../audit/audit.ts";
import type { MeRequest } from "./request.ts";

export type Note = (request: Pick<MeRequest, "user" | "trace">, what: string) => void;

/** Writes into the audit what a user has done by their page. */
export const noteIn =
  (audit: Pick<Audit, "add">): Note =>
  ({ user, trace: { requestId } }, what) =>
    audit.add(
      orderRow({ what, user, server: null, who: "page", requestId, durationMs: 0 }, undefined),
    );
