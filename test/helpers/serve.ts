import { createServer } from "node:http";
import type {
  IncomingMessage,
  RequestListener,
  Server,
  ServerOptions,
  ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

export interface Served {
  server: Server;
  url: URL;
  /** Connections that are open now. */
  connections(): Promise<number>;
}

/** A real HTTP server on a port of its own, closed with the test; `options` are Node's. */
export async function serve<Response extends typeof ServerResponse = typeof ServerResponse>(
  t: TestContext,
  handler: RequestListener<typeof IncomingMessage, Response>,
  options: ServerOptions<typeof IncomingMessage, Response> = {},
): Promise<Served> {
  const server = createServer(options, handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    server,
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/sse`),
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
      }),
  };
}
