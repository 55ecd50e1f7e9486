import type { Audit, AuditRow } from "../audit/audit.ts";
import { contained } from "../containment.ts";
import type { SupervisorError } from "../errors.ts";
import type { HttpResponse, RequestHead } from "../http/exchange.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Logger } from "../telemetry/logger.ts";
import { NOTHING_KNOWN } from "../telemetry/request-record.ts";
import type { RequestRecord, RouteName } from "../telemetry/request-record.ts";
import type { Requests } from "../telemetry/requests.ts";
import type { Principal } from "../auth/registry.ts";
import type { CallWatch, OpenCall } from "../sessions/calls.ts";

/** As nginx has it: the client left before there was an answer. */
const CLIENT_LEFT = 499;

export interface TraceParts {
  audit: Audit;
  log: Logger;
  requests: Requests;
  /** Where the request comes from. */
  address: string;
}

/** Collects what is known of one request while it is under way, and tells it when the request is over. */
export class Trace implements CallWatch {
  readonly requestId: string;
  /** The daemon's own check of itself, every few seconds: counted, and told to nobody. */
  isOwn = false;
  readonly #parts: TraceParts;
  readonly #startedAt = performance.now();
  readonly #record: RequestRecord;
  #atEnd: readonly (() => void)[] = [];
  #tools: readonly string[] = [];
  #hasBegun = false;
  #isTold = false;
  /** What the client was told on a stream, while the answer to the request itself said "accepted". */
  #statusApart: number | undefined;

  constructor(parts: TraceParts, req: RequestHead, res: HttpResponse, requestId: string) {
    this.requestId = requestId;
    this.#parts = parts;
    const url = req.url ?? "";
    const query = url.indexOf("?");
    this.#record = {
      ...NOTHING_KNOWN,
      requestId,
      at: Date.now(),
      method: req.method ?? "",
      path: query === -1 ? url : url.slice(0, query),
      remoteAddress: parts.address,
      userAgent: req.headers["user-agent"] ?? "",
    };
    parts.requests.began(this.#record);
    res.on("close", () => this.#end(res));
  }

  /** To be done when the request is over: answered, failed, or left by its client. */
  atEnd(work: () => void): void {
    // A spread takes room for sixteen more.
    this.#atEnd = this.#atEnd.concat(work);
  }

  setRoute(route: RouteName, pathUser: string | null = null): void {
    this.#record.route = route;
    this.#record.pathUser = pathUser;
  }

  setPrincipal({ user, label }: Principal): void {
    this.#record.user = user;
    this.#record.keyLabel = label;
  }

  setServer(server: string): void {
    this.#record.server = server;
  }

  /** What the client posted. */
  setMessages(messages: readonly ClientMessage[], bytes: number): void {
    this.#record.bytesIn = bytes;
    // Nearly always there is one.
    const [{ tool } = {}] = messages;
    if (messages.length > 1) this.#tools = messages.flatMap((message) => message.tool ?? []);
    else if (tool !== undefined) this.#tools = [tool];
    this.#record.tool = this.#tools.at(-1) ?? null;
  }

  /** What the client called without MCP. */
  setCall(tool: string, bytes: number): void {
    this.#record.bytesIn = bytes;
    this.#tools = [tool];
    this.#record.tool = tool;
  }

  setGeneration(generation: number): void {
    this.#record.generation = generation;
  }

  /**
   * The request was refused or failed. Refusals of callers are told in the request's own line; what we
   * or a child did wrong is told loudly and at once, with its cause.
   */
  fail(failure: unknown, hint?: { user?: string; why: string }): void {
    const { requestId, user, server } = this.#record;
    const error = contained("request", failure, { requestId, user, server });
    this.#record.failure ??= {
      code: error.code,
      message: error.message,
      details: hint === undefined ? error.details : [hint.why, ...error.details],
    };
    // A key that is no more says whose it was, and nothing of who sends it.
    this.#record.pathUser ??= hint?.user ?? null;
    const fields = { requestId, code: error.code, user, server };
    // One of ours was told with its stack when it was contained.
    if (error.code === "STORE_FAILED")
      this.#parts.log.error({ ...fields, err: failure }, error.message);
    else if (error.status >= 500)
      this.#parts.log.warn({ ...fields, details: error.details }, error.message);
  }

  /** As `fail`, for what the client is told on a stream of its own, be the request over or not: it counts as refused with that code. */
  failApart(error: SupervisorError): void {
    if (!this.#isTold) {
      this.#statusApart ??= error.status;
      return this.fail(error);
    }
    const { code, message, details } = error;
    this.#parts.requests.failedLate({ ...this.#record, failure: { code, message, details } });
    const { requestId, user, server } = this.#record;
    this.#parts.log.warn({ requestId, code, user, server, details }, message);
  }

  /** The answer was written past the response, with that status. */
  answeredApart(status: number): void {
    this.#statusApart ??= status;
  }

  begin(tool: string): OpenCall {
    const startedAt = performance.now();
    this.#hasBegun = true;
    return {
      end: (outcome, bytesOut, reason) => {
        const durationMs = performance.now() - startedAt;
        this.#audit("call", tool, { outcome, bytesOut, durationMs }, reason);
      },
    };
  }

  #audit(
    kind: "call" | "refusal",
    what: string,
    how: Pick<AuditRow, "outcome" | "bytesOut" | "durationMs">,
    why?: string,
  ): void {
    const { user, server, requestId, keyLabel, bytesIn, failure } = this.#record;
    const reason = why ?? failure?.message ?? null;
    if (kind === "call") {
      const { outcome, durationMs } = how;
      const whose = { user: user ?? "", server: server ?? "" };
      this.#parts.requests.called({ ...whose, tool: what, outcome, durationMs: durationMs ?? 0 });
    }
    this.#parts.audit.add({
      at: Date.now(),
      kind,
      user,
      server,
      requestId,
      who: keyLabel,
      what,
      reason,
      bytesIn,
      ...how,
    });
  }

  #end(res: HttpResponse): void {
    this.#tell(res);
    for (const work of this.#atEnd) {
      try {
        work();
      } catch (error) {
        // What one part of a request leaves undone is not to keep the others from their end.
        contained("request", error);
      }
    }
  }

  #tell(res: HttpResponse): void {
    const record = this.#record;
    this.#isTold = true;
    record.status = this.#statusApart ?? (res.headersSent ? res.statusCode : CLIENT_LEFT);
    record.durationMs = performance.now() - this.#startedAt;
    if (this.isOwn) return this.#parts.requests.endedUntold(record);
    const isTold = this.#parts.requests.ended(record);
    if (record.failure === null || !isTold) return;
    const { code } = record.failure;
    const how = { bytesOut: null, durationMs: record.durationMs };
    if (this.#tools.length > 0 && !this.#hasBegun)
      for (const tool of this.#tools) this.#audit("call", tool, { outcome: "refused", ...how });
    else this.#audit("refusal", `${record.method} ${record.path}`, { outcome: code, ...how });
  }
}
