import type { HttpTarget } from "../../src/links/target.ts";
import { OutputShare } from "../../src/platform/output-share.ts";

/** A server of this machine at this URL, whose path tells what it speaks. */
export function targetAt(url: URL, changes: Partial<HttpTarget> = {}): HttpTarget {
  return {
    transport: url.pathname.endsWith("/sse") ? "sse" : "http",
    url,
    headers: {},
    isRemote: false,
    socketPath: null,
    output: new OutputShare(),
    ...changes,
  };
}
