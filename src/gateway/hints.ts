import type { SupervisorError } from "../errors.ts";
import type { RequestHead } from "../http/exchange.ts";
import { bounded } from "../telemetry/bounded.ts";
import type { Registry } from "../auth/registry.ts";
import { explainRefusal } from "./authenticate.ts";

const MAX_HINT = 100;

/** What an admin wants to know of a refusal and the client is not told: a sentence, and whom it is about. */
export function hintFor(
  { code }: SupervisorError,
  req: RequestHead,
  registry: Pick<Registry, "endOf">,
): { user?: string; why: string } | undefined {
  if (code === "KEY_INVALID" || code === "TOO_MANY_FAILURES") return explainRefusal(req, registry);
  if (code === "HOST_REFUSED") return { why: `Host: ${bounded(req.headers.host ?? "", MAX_HINT)}` };
  if (code === "ORIGIN_REFUSED")
    return { why: `Origin: ${bounded(req.headers.origin ?? "", MAX_HINT)}` };
  return undefined;
}
