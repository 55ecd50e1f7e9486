import { Transform } from "node:stream";
import { SupervisorError } from "../errors.ts";
import { MAX_DROPPED_BYTES } from "../http/read-body.ts";
import type { BodyRequest } from "../platform/body-request.ts";
import { sizeText } from "../platform/sizes.ts";

const tooLarge = (limit: number): SupervisorError =>
  new SupervisorError("BODY_TOO_LARGE", `the body is over ${sizeText(limit)}, which is the limit`);

/**
 * A client's body on its way, in pieces, and in as many bytes as it may have. What is beyond them is
 * read and dropped, so that a client which is still sending gets to see why.
 */
export class BoundedBody {
  readonly stream: Transform;
  /** Resolves when all of it has come, or its client has left. */
  readonly ended: Promise<void>;
  /** Why it does not go on. */
  refusal: SupervisorError | undefined;

  /** `onTooLarge` is called once. */
  constructor(req: BodyRequest, limit: number, onTooLarge: () => void) {
    let received = 0;
    this.stream = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        received += chunk.length;
        if (received > limit && this.refusal === undefined) {
          this.refusal = tooLarge(limit);
          onTooLarge();
        }
        if (received > limit + MAX_DROPPED_BYTES) req.socket.destroy();
        done(null, this.refusal === undefined ? chunk : undefined);
      },
    });
    this.ended = new Promise((resolve) => {
      this.stream.once("finish", resolve);
      this.stream.once("close", resolve);
    });
    req.once("close", () => {
      if (!req.complete) this.stream.destroy();
    });
    req.pipe(this.stream);
  }
}

/** Rejects with BODY_TOO_LARGE, once it is dropped, for a body that says itself that it is over the limit. */
export async function requireFitting(req: BodyRequest, limit: number): Promise<void> {
  const { "content-length": length = "0", expect } = req.headers;
  if (Number(length) <= limit) return;
  // Who asks before sending its body does not send it now.
  if (expect === undefined) await new BoundedBody(req, 0, () => {}).ended;
  throw tooLarge(limit);
}

/** How the body is told from what follows it: as the client did, in a way that has one meaning. */
export function framingOf({ headers }: Pick<BodyRequest, "headers">): Record<string, string> {
  const { "transfer-encoding": encoding, "content-length": length } = headers;
  if (encoding === undefined) return length === undefined ? {} : { "content-length": length };
  if (encoding.toLowerCase() === "chunked") return { "transfer-encoding": "chunked" };
  throw new SupervisorError("REQUEST_INVALID", "the body may be chunked, and no more");
}
