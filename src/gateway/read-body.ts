import type { IncomingMessage } from "node:http";
import { SupervisorError } from "../errors.ts";
import type { BodyRequest } from "../http/body-request.ts";
import type { Edge } from "../http/edge.ts";

/** What is read and dropped of a body over the limit before the connection goes too. */
const MOST_DROPPED_BYTES = 16 * 1024 * 1024;

/**
 * Reads and drops a body where none is wanted. Unread, it would keep the connection from being read,
 * and so a client that leaves from being noticed.
 */
export function dropBody(req: IncomingMessage): void {
  const { headers } = req;
  if (headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined)
    req.resume();
}

/**
 * Resolves with the whole body, or undefined when the client left before it was whole. Rejects with
 * REQUEST_TIMEOUT where it stands still or drips, and with BODY_TOO_LARGE as soon as that is known;
 * the rest is read and dropped, so that a client which is still sending gets to see the answer.
 */
export async function readBody(
  req: BodyRequest,
  limitBytes: number,
  edge: Pick<Edge, "watch">,
): Promise<Buffer | undefined> {
  return await new Promise((resolve, reject) => {
    let first: Buffer | undefined;
    let more: Buffer[] | undefined;
    let isRefused = false;
    const refuse = (code: "BODY_TOO_LARGE" | "REQUEST_TIMEOUT", message: string): void => {
      if (isRefused) return void req.socket.destroy();
      isRefused = true;
      first = undefined;
      more = undefined;
      reject(new SupervisorError(code, message));
    };
    const tooLarge = () =>
      refuse("BODY_TOO_LARGE", `the body is over ${limitBytes} bytes, which is the limit`);
    const { body, done } = edge.watch(() =>
      refuse("REQUEST_TIMEOUT", "the body did not arrive in time"),
    );
    if (Number(req.headers["content-length"] ?? 0) > limitBytes) tooLarge();
    req.takeBody({
      chunk(bytes) {
        body.received += bytes.length;
        if (isRefused) {
          if (body.received > limitBytes + MOST_DROPPED_BYTES) req.socket.destroy();
        } else if (body.received > limitBytes) {
          tooLarge();
        } else if (first === undefined) {
          first = bytes;
        } else {
          (more ??= [first]).push(bytes);
        }
      },
      end() {
        done();
        resolve(more === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(more));
      },
      gone() {
        done();
        resolve(undefined);
      },
    });
  });
}
