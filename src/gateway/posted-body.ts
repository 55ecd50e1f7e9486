import { readBody } from "../http/read-body.ts";
import type { Peek } from "../mcp/client-body.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";

/** What a client posted, and what is seen in it. */
export interface PostedBody {
  readonly body: Buffer;
  readonly seen: Peek;
}

/**
 * Reads what the client posts: at once where it is all there and small, as nearly all of it is, else
 * with a promise, which resolves with undefined where the client left meanwhile. Throws or rejects as
 * `readBody`. `sessionId` names the session whose messages go on in their order.
 */
export function readPosted(
  context: FrontContext,
  { req, principal }: RequestContext,
  sessionId: string | undefined,
): PostedBody | Promise<PostedBody | undefined> {
  const body = readBody(req, context.config.limits.bodyBytes, context.edge);
  const session = sessionId === undefined ? undefined : `${principal.user} ${sessionId}`;
  return body instanceof Promise
    ? body.then((late) => (late === undefined ? undefined : seenIn(context, late, session)))
    : seenIn(context, body, session);
}

function seenIn(
  { bodies }: FrontContext,
  body: Buffer,
  session: string | undefined,
): PostedBody | Promise<PostedBody> {
  const seen = bodies.read(body, session);
  return seen instanceof Promise ? seen.then((late) => ({ body, seen: late })) : { body, seen };
}
