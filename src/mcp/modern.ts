import { isLegacyVersion } from "./versions.ts";

/** The revisions without a handshake: every request says what it speaks (MCP 2026-07-28, versioning). */
export const MODERN_VERSIONS: readonly string[] = ["2026-07-28"];

/** Keys of `_meta`, most of them of a modern request (MCP 2026-07-28, basic). */
export const META = {
  protocolVersion: "io.modelcontextprotocol/protocolVersion",
  clientInfo: "io.modelcontextprotocol/clientInfo",
  clientCapabilities: "io.modelcontextprotocol/clientCapabilities",
  logLevel: "io.modelcontextprotocol/logLevel",
  subscriptionId: "io.modelcontextprotocol/subscriptionId",
  /** Of an answer to `server/discover`. */
  serverInfo: "io.modelcontextprotocol/serverInfo",
} as const;

/** Error codes of the protocol itself. */
export const RPC = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const;

/** The request headers that mirror the body (MCP 2026-07-28, streamable HTTP). */
export interface ModernHeaders {
  readonly version: string | undefined;
  readonly method: string | undefined;
  readonly name: string | undefined;
}

export interface ModernParams {
  readonly name?: unknown;
  readonly arguments?: unknown;
  readonly _meta?: Readonly<Record<string, unknown>>;
}

/** The params of a request (JSON text of an object) with this `_meta`, as JSON text. */
export function withMeta(params: string, meta: Readonly<Record<string, unknown>>): string {
  const more = params === "{}" ? "}" : `,${params.slice(1)}`;
  return `{"_meta":${JSON.stringify(meta)}${more}`;
}

export type ModernReading =
  /** It does not claim to be modern: it belongs to a session, or begins one. */
  | { readonly kind: "legacy" }
  | { readonly kind: "fault"; readonly code: number; readonly message: string }
  | { readonly kind: "notification" }
  | { readonly kind: "request"; readonly version: string; readonly params: ModernParams };

const LEGACY: ModernReading = { kind: "legacy" };
const fault = (code: number, message: string): ModernReading => ({ kind: "fault", code, message });
const mismatch = (message: string): ModernReading => fault(RPC.headerMismatch, message);

/** Where the value stands that `Mcp-Name` mirrors, by method. */
const NAMED_BY: Readonly<Record<string, string>> = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  // The tasks extension (SEP-2663).
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId",
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Reads a POST body (parsed JSON, known to be an envelope) as a modern request, and holds the
 * mirrored headers against it: something in front of us may have looked at those alone. The body
 * decides the era; `initialize` is legacy by itself. No message repeats text of the request.
 */
export function readModern(body: unknown, headers: ModernHeaders): ModernReading {
  const isNamedModern = headers.version !== undefined && !isLegacyVersion(headers.version);
  if (!isObject(body))
    return isNamedModern
      ? fault(RPC.invalidRequest, "this revision has no batches: send one message a POST")
      : LEGACY;
  const { id, method } = body;
  const params = isObject(body["params"]) ? body["params"] : {};
  const meta = isObject(params["_meta"]) ? params["_meta"] : {};
  const claim = meta[META.protocolVersion];
  if (typeof method !== "string")
    return isNamedModern
      ? fault(RPC.invalidRequest, "this revision has no responses of the client")
      : LEGACY;
  if (method === "initialize" && (typeof claim !== "string" || isLegacyVersion(claim)))
    return isNamedModern
      ? mismatch("initialize belongs to an earlier revision than the MCP-Protocol-Version header")
      : LEGACY;
  if (id === undefined || id === null)
    return isNamedModern || claim !== undefined ? { kind: "notification" } : LEGACY;
  if (claim === undefined) {
    if (headers.version === undefined || !isNamedModern) return LEGACY;
    return MODERN_VERSIONS.includes(headers.version)
      ? fault(RPC.invalidParams, `params._meta lacks ${META.protocolVersion}`)
      : { kind: "request", version: headers.version, params };
  }
  if (typeof claim !== "string" || !isObject(meta[META.clientCapabilities]))
    return fault(
      RPC.invalidParams,
      `params._meta needs ${META.protocolVersion} and ${META.clientCapabilities}`,
    );
  return (
    standardHeaderFault(headers, claim, method, params) ?? {
      kind: "request",
      version: claim,
      params,
    }
  );
}

function standardHeaderFault(
  headers: ModernHeaders,
  claim: string,
  method: string,
  params: Readonly<Record<string, unknown>>,
): ModernReading | undefined {
  if (headers.version === undefined) return mismatch("the MCP-Protocol-Version header is missing");
  if (headers.version !== claim)
    return mismatch("the MCP-Protocol-Version header and the body name different revisions");
  if (headers.method === undefined) return mismatch("the Mcp-Method header is missing");
  if (headers.method !== method)
    return mismatch("the Mcp-Method header and the body name different methods");
  const field = Object.hasOwn(NAMED_BY, method) ? NAMED_BY[method]! : undefined;
  if (field === undefined) return undefined;
  const value = params[field];
  if (headers.name === undefined)
    return typeof value === "string" ? mismatch("the Mcp-Name header is missing") : undefined;
  const decoded = decodeMirrored(headers.name);
  if (decoded === undefined) return mismatch("the Mcp-Name header cannot be decoded");
  return typeof value === "string" && decoded !== value
    ? mismatch("the Mcp-Name header and the body name different things")
    : undefined;
}

/** The value that a mirrored header carries, undefined where it is none (MCP 2026-07-28, value encoding). */
export function decodeMirrored(header: string): string | undefined {
  const text = header.replaceAll(/^[ \t]+|[ \t]+$/g, "");
  if (!/^[\t\x20-\x7e]*$/.test(text)) return undefined;
  const encoded = /^=\?base64\?(.*)\?=$/.exec(text)?.[1];
  if (encoded === undefined) return text;
  const bytes = Buffer.from(encoded, "base64");
  // Buffer reads what is no base64 as far as it can.
  if (bytes.toString("base64") !== encoded) return undefined;
  try {
    return new TextDecoder("utf8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

const STATUS: Readonly<Record<number, number>> = {
  [RPC.parseError]: 400,
  [RPC.invalidRequest]: 400,
  [RPC.methodNotFound]: 404,
  [RPC.headerMismatch]: 400,
  [RPC.missingCapability]: 400,
  [RPC.unsupportedVersion]: 400,
};

/** The HTTP status of an answer whose error has this code; every other error is an answer like any (MCP 2026-07-28, streamable HTTP). */
export function statusOfError(code: number | undefined): number {
  return code === undefined ? 200 : (STATUS[code] ?? 200);
}

/** Whether an answer to `server/discover` is that of a modern server, and the versions it names (MCP 2026-07-28, stdio, backward compatibility). */
export function discoveredVersions(answer: {
  readonly result?: unknown;
  readonly error?: unknown;
}): readonly string[] | undefined {
  const { result, error } = answer;
  const named =
    isObject(result) && Array.isArray(result["supportedVersions"])
      ? result["supportedVersions"]
      : isObject(error) && error["code"] === RPC.unsupportedVersion && isObject(error["data"])
        ? error["data"]["supported"]
        : undefined;
  if (!Array.isArray(named)) return undefined;
  const versions = named.filter((version) => typeof version === "string");
  return versions.some((version) => !isLegacyVersion(version)) ? versions : undefined;
}
