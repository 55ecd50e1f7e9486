import { unawaited } from "../containment.ts";
import { cancelledBy, valueOf } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isRequest } from "../mcp/envelope.ts";
import { textAt } from "../mcp/json-span.ts";
import { errorText, resultBytes } from "../mcp/messages.ts";
import { META, MODERN_VERSIONS, RPC } from "../mcp/modern.ts";
import { LEGACY_VERSIONS, isLegacyVersion, negotiate } from "../mcp/versions.ts";
import type { Caller, Conversation, Say } from "./builtin.ts";

/** What a call of a tool gives. */
export interface ToolResult {
  readonly content: readonly { readonly type: "text"; readonly text: string }[];
  readonly structuredContent?: object;
  readonly isError?: true;
}

/** What a server with nothing but tools is. */
export interface ToolServer {
  readonly info: { readonly name: string; readonly title: string; readonly version: string };
  tools(caller: Caller): readonly object[];
  /** Undefined where there is no such tool. Rejects for no cause that is known. */
  call(tool: unknown, args: unknown, caller: Caller): Promise<ToolResult> | undefined;
}

interface Params {
  readonly name?: unknown;
  readonly arguments?: unknown;
  readonly protocolVersion?: unknown;
  readonly _meta?: Readonly<Record<string, unknown>>;
}

interface Failure {
  readonly code: number;
  readonly message: string;
}

type Outcome = { readonly result: object } | { readonly error: Failure };

const CAPABILITIES = { tools: {} };
const INTERNAL: Failure = { code: -32_603, message: "something went wrong in the gateway" };

/** The conversation of one client with a server that has nothing but tools, in every revision of MCP. */
export class ToolConversation implements Conversation {
  readonly #server: ToolServer;
  readonly #caller: Caller;
  readonly #say: Say;
  /** Ids of requests whose answer is waited for. */
  readonly #open = new Set<string>();

  constructor(server: ToolServer, caller: Caller, say: Say) {
    this.#server = server;
    this.#caller = caller;
    this.#say = say;
  }

  receive(message: ClientMessage): void {
    if (message.method === "notifications/cancelled") {
      this.#open.delete(cancelledBy(message) ?? "");
      return;
    }
    if (!isRequest(message)) return;
    this.#open.add(message.id!);
    const fail = (): void => this.#answer(message, { error: INTERNAL });
    unawaited("session", fail, this.#serve(message));
  }

  close(): void {
    this.#open.clear();
  }

  async #serve(message: ClientMessage): Promise<void> {
    const { params } = valueOf(message) as { params?: unknown };
    const given = typeof params === "object" && params !== null ? (params as Params) : {};
    const version = given._meta?.[META.protocolVersion];
    const isModern = typeof version === "string" && !isLegacyVersion(version);
    const outcome = await this.#outcomeOf(message.method!, given, isModern);
    const isComplete = isModern && "result" in outcome;
    const told = isComplete ? { result: { resultType: "complete", ...outcome.result } } : outcome;
    this.#answer(message, told);
  }

  async #outcomeOf(method: string, params: Params, isModern: boolean): Promise<Outcome> {
    const { info } = this.#server;
    if (method === "tools/list") {
      const tools = this.#server.tools(this.#caller);
      return { result: isModern ? { tools, ttlMs: 0, cacheScope: "private" } : { tools } };
    }
    if (method === "tools/call") {
      const called = this.#server.call(params.name, params.arguments, this.#caller);
      if (called !== undefined) return { result: await called };
      return { error: { code: RPC.invalidParams, message: "there is no such tool" } };
    }
    if (method === "server/discover" && isModern)
      return {
        result: {
          supportedVersions: MODERN_VERSIONS,
          capabilities: CAPABILITIES,
          _meta: { [META.serverInfo]: info },
        },
      };
    if (method === "initialize" && !isModern) {
      const protocolVersion = negotiate(params.protocolVersion, LEGACY_VERSIONS[0]);
      return { result: { protocolVersion, capabilities: CAPABILITIES, serverInfo: info } };
    }
    if (method === "ping" && !isModern) return { result: {} };
    return { error: { code: RPC.methodNotFound, message: "there is no such method here" } };
  }

  #answer(message: ClientMessage, outcome: Outcome): void {
    const id = message.id!;
    // It was cancelled, or its client has left.
    if (!this.#open.delete(id)) return;
    const rawId = textAt(message.raw, message.find(["id"])!);
    const known = { id, method: undefined };
    if ("error" in outcome) {
      const { error } = outcome;
      const raw = Buffer.from(errorText(rawId, error));
      return this.#say(raw, { ...known, outcome: "error", errorCode: error.code });
    }
    const raw = resultBytes(rawId, Buffer.from(JSON.stringify(outcome.result)));
    const hasFailed = (outcome.result as ToolResult).isError === true;
    this.#say(raw, hasFailed ? { ...known, outcome: "tool-error" } : known);
  }
}
