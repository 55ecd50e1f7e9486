import { SupervisorError } from "../errors.ts";
import type { HttpResponse, RequestHead } from "../http/exchange.ts";

/** METHOD_NOT_ALLOWED for any other. What is sent with a refused method is not read: DELETE and friends may carry a body that nobody asked for. */
export function allowOnly(
  req: Pick<RequestHead, "method">,
  res: Pick<HttpResponse, "setHeader">,
  allowed: readonly string[],
): void {
  if (allowed.includes(req.method ?? "")) return;
  res.setHeader("allow", allowed.join(", "));
  throw new SupervisorError(
    "METHOD_NOT_ALLOWED",
    `only ${allowed.join(", ")} can be used on this path`,
  );
}
