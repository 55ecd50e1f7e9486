import type { IncomingMessage } from "node:http";
import { SupervisorError } from "../errors.ts";

/**
 * Resolves with the whole body, or undefined when the client left before it was whole. Rejects with
 * BODY_TOO_LARGE as soon as that is known; the rest is read and dropped, so that a client which is
 * still sending gets to see the answer.
 */
export async function readBody(
  req: IncomingMessage,
  limitBytes: number,
): Promise<Buffer | undefined> {
  const tooLarge = () =>
    new SupervisorError(
      "BODY_TOO_LARGE",
      `the body is over ${limitBytes} bytes, which is the limit`,
    );
  if (Number(req.headers["content-length"] ?? 0) > limitBytes) {
    req.resume();
    throw tooLarge();
  }
  return await new Promise((resolve, reject) => {
    let first: Buffer | undefined;
    let more: Buffer[] | undefined;
    let size = 0;
    req.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) {
        first = undefined;
        more = undefined;
        reject(tooLarge());
      } else if (first === undefined) {
        first = chunk;
      } else {
        (more ??= [first]).push(chunk);
      }
    });
    req.on("end", () =>
      resolve(more === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(more)),
    );
    // Without a listener for "error" Node reports a client that left by "close" alone.
    req.on("close", () => resolve(undefined));
  });
}
