import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

/** How a connection is lost: at once, with an end as if all were well, or with a silence before. */
export type Cut = "reset" | "end" | "stall";

const STALL_MS = 100;

/** A network between a client and a port of this machine that loses connections when it is told to. */
export class CuttingProxy {
  readonly port: number;
  readonly #server: Server;
  /** The clients' ends, by their ports, with the others. */
  readonly #pairs = new Map<number, [client: Socket, server: Socket]>();

  private constructor(server: Server, to: number) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (client) => this.#join(client, connect(to, "127.0.0.1")));
  }

  static async open(to: number): Promise<CuttingProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new CuttingProxy(server, to);
  }

  /** Loses the connection of the client with that port; what is on its way is lost with it. */
  cut(port: number, how: Cut): void {
    const pair = this.#pairs.get(port);
    if (pair === undefined) return;
    const [client, server] = pair;
    server.unpipe(client);
    // The reset of a socket that is being shut down fails unheard, and Node waits for its end for ever, at the end of the process too.
    if (how === "reset" && !client.writableEnded) client.resetAndDestroy();
    else if (how === "end") client.end();
    const gone = (): void => pair.forEach((socket) => void socket.destroy());
    if (how === "stall") setTimeout(gone, STALL_MS);
    else gone();
  }

  /** Loses all of them. */
  cutAll(how: Cut): void {
    for (const port of this.#pairs.keys()) this.cut(port, how);
  }

  close(): void {
    this.#server.close();
    for (const pair of this.#pairs.values()) for (const socket of pair) socket.destroy();
  }

  #join(client: Socket, server: Socket): void {
    const port = client.remotePort!;
    this.#pairs.set(port, [client, server]);
    const over = (): void => {
      this.#pairs.delete(port);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on("error", over).on("close", over);
    client.pipe(server);
    server.pipe(client);
  }
}
