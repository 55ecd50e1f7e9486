import { createServer } from "node:http";
import type { RequestListener, Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

export interface Served {
  server: Server;
  url: URL;
  /** Connections that are open now. */
  connections(): Promise<number>;
}

/** A real HTTP server on a port of its own, closed with the test. */
export async function serve(t: TestContext, handler: RequestListener): Promise<Served> {
  const server = createServer(handler);
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
