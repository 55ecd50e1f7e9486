import { ServerResponse } from "node:http";
import type { IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders } from "node:http";
import { writeFramed } from "../platform/framed-write.ts";
import { isStopping, setKeptAlive } from "../platform/node-inside.ts";

/** A browser takes an answer for what its content type says, and for nothing else. */
export const NOSNIFF = { "x-content-type-options": "nosniff" } as const;

/** What a browser is to make of an answer that is no page of ours: no script, no form, no origin, and text unless its type says otherwise. */
export const NO_PAGE = {
  ...NOSNIFF,
  "content-type": "text/plain",
  "content-security-policy": "sandbox; default-src 'none'",
} as const;

type Headers = OutgoingHttpHeaders | OutgoingHttpHeader[];

/**
 * An answer that goes out with headers for browsers whoever writes its head, unless the route sets
 * its own. Express puts an answer under a prototype of its own, so what is handed to it wants `settle`.
 */
export class SafeResponse<
  Request extends IncomingMessage = IncomingMessage,
> extends ServerResponse<Request> {
  forBrowsers: Readonly<Record<string, string>> = NOSNIFF;
  #isHeadOut = false;

  override writeHead(status: number, reason?: string | Headers, headers?: Headers): this {
    // What the client asks for next is for whoever listens then, so it comes by a connection of its own.
    if (isStopping(this.socket)) setKeptAlive(this, false);
    const given = typeof reason === "string" ? headers : reason;
    if (Array.isArray(given)) this.settle();
    // One object and no header set before it is what Node writes fastest.
    const all = Array.isArray(given)
      ? given
      : { ...this.forBrowsers, ...this.getHeaders(), ...given };
    return typeof reason === "string"
      ? super.writeHead(status, reason, all)
      : super.writeHead(status, all);
  }

  /** See `HttpResponse`. Node takes a gathered write of four pieces for each part, and from 26 on keeps parts until the next tick. */
  writePart(part: string | Buffer): boolean {
    const { socket } = this;
    // No socket yet: an earlier request of the connection is being answered still.
    if (socket === null || !this.chunkedEncoding || this.destroyed)
      return typeof part === "string" ? this.write(part, "latin1") : this.write(part);
    if (!this.#isHeadOut) {
      this.#isHeadOut = true;
      // With the first part, in one call.
      socket.cork();
      process.nextTick(() => socket.uncork());
      this.flushHeaders();
    }
    // As a chunk (RFC 9112, 7.1).
    return writeFramed(socket, [`${part.length.toString(16)}\r\n`, part, "\r\n"]);
  }

  /** Sets the headers now, for whoever does not write the head by this class. */
  settle(): void {
    for (const [name, value] of Object.entries(this.forBrowsers))
      if (!this.hasHeader(name)) this.setHeader(name, value);
  }
}
