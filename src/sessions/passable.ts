import { SupervisorError } from "../errors.ts";
import type { PostAnswer } from "../links/link.ts";

/** UPSTREAM_INVALID for what may not reach a client: passed on, a 401 would read as "your access key is wrong", and a redirect would lead around the gateway. */
export function unpassable({ status }: PostAnswer): SupervisorError | undefined {
  if (status !== 401 && (status < 300 || status >= 400)) return undefined;
  return new SupervisorError("UPSTREAM_INVALID", `the server answered the message with ${status}`);
}
