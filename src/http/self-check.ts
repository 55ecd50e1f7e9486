import { randomBytes } from "node:crypto";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";

/** Told to nobody, so that no other request passes for one of ours. */
const HEADER = "x-self-check";
const MARK = randomBytes(16).toString("base64url");

/** Whether this process itself asks whether it answers. */
export function isSelfCheck(req: IncomingMessage): boolean {
  return req.headers[HEADER] === MARK;
}

/** Where a listener listens is not always where it can be called. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

/** Whether a listener of this process answers at that path within the time; what it answers does not matter. */
export async function answersItself(
  at: { host: string; port: number; path: string },
  withinMs: number,
): Promise<boolean> {
  const startedAt = performance.now();
  const hasAnswered = await new Promise<boolean>((resolve) => {
    const { path, port } = at;
    const host = reachable(at.host);
    const headers = { host: "localhost", connection: "close", [HEADER]: MARK };
    const call = request({ host, port, path, headers, agent: false }, (answer) => {
      answer.resume();
      resolve(true);
    });
    call.on("error", (error: NodeJS.ErrnoException) => {
      // A connection that was closed at once, because there are too many, was accepted first.
      resolve(error.code === "ECONNRESET");
    });
    const timer = setTimeout(() => {
      resolve(false);
      call.destroy();
    }, withinMs);
    call.on("close", () => clearTimeout(timer));
    call.end();
  });
  // After a standstill of the event loop the answer and the end of the time come in one turn.
  return hasAnswered && performance.now() - startedAt <= withinMs;
}
