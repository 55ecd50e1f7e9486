/** JSON-RPC messages of the gateway's own, as text. Ids, results, params and errors are JSON text. */

/** The code of JSON-RPC for what failed at the one who should have answered. */
const INTERNAL_ERROR = -32_603;

export const requestText = (id: string | number, method: string, params: string): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`;

export const notificationText = (method: string, params?: string): string =>
  `{"jsonrpc":"2.0","method":"${method}"${params === undefined ? "" : `,"params":${params}`}}`;

/** An answer with a result as a server wrote it, byte for byte. */
export const resultBytes = (id: string, result: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":`), result, Buffer.from("}")]);

export const errorText = (
  id: string,
  error: { code: number; message: string; data?: Readonly<Record<string, unknown>> },
): string => `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}`;

/** The answer to a question that nobody answers. */
export const refusalText = (id: string, message: string): string =>
  errorText(id, { code: INTERNAL_ERROR, message });

/** The answer to the ping of that id. */
export const pongText = (id: string): string => `{"jsonrpc":"2.0","id":${id},"result":{}}`;

export const HAS_LEFT = "the client has left";

/** Tells a server that nobody waits for the answer to the request of that id any more. */
export const leftText = (id: string | number): string =>
  notificationText("notifications/cancelled", `{"requestId":${id},"reason":"${HAS_LEFT}"}`);

/** The gateway's own `initialize`; `capabilities` is JSON text, `own` the gateway's version. */
export function initializeText(
  id: number,
  version: string,
  capabilities: string,
  own: string,
): string {
  const info = JSON.stringify({ name: "mcp-supervisor", version: own });
  const params = `{"protocolVersion":"${version}","capabilities":${capabilities},"clientInfo":${info}}`;
  return requestText(id, "initialize", params);
}
