import type { IncomingMessage } from "node:http";
import { SupervisorError } from "../errors.ts";
import { isJson } from "./read-body.ts";

const READS: readonly (string | undefined)[] = ["GET", "HEAD"];

/** The origin that a page has which was loaded from where this request goes. The guard has accepted the Host. */
const ownOrigin = ({ headers }: IncomingMessage): string =>
  `http://${headers.host?.toLowerCase() ?? ""}`;

/**
 * Refuses what a browser's session asks for and no page of ours has sent: ORIGIN_REFUSED, 403, before
 * anything was looked at. A write has to be JSON, with `X-MCP-Supervisor: 1` and the Origin of the
 * listener as the browser knows it (the Host of the request, so that a forwarded port works) or of
 * `publicUrl`: no form, link or image of another page can send that, and no script of one without
 * asking first. `Sec-Fetch-Site` is told by browsers alone and cannot be set by a page, so where it is
 * there it has to say `same-origin`, for reads too.
 */
export function requireOwnPage(req: IncomingMessage, publicUrl: URL): void {
  const { headers, method } = req;
  const site = headers["sec-fetch-site"];
  const isOwnSite = site === undefined || site === "same-origin";
  const origin = headers.origin?.toLowerCase();
  const isOwnOrigin = origin === ownOrigin(req) || origin === publicUrl.origin;
  const isAsPagesWrite = isOwnOrigin && headers["x-mcp-supervisor"] === "1" && isJson(req);
  if (isOwnSite && (READS.includes(method) || isAsPagesWrite)) return;
  throw new SupervisorError(
    "ORIGIN_REFUSED",
    "only a page of this server may do that: application/json, with X-MCP-Supervisor: 1 and the page's own Origin",
  );
}
