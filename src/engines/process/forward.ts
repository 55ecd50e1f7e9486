// A program of its own: runs inside a sandbox and carries connections in and out of its network. It
// must import nothing, because it is shown to the sandbox as a single file.
//
// Arguments: the child's port, to which connections of descriptor 3 go ("-" for none), then PORT=SOCKET
// for each port of the loopback here that leads to a unix socket. Closes its stdout once all listen.
import { closeSync, openSync, writeSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { NetConnectOpts, Socket } from "node:net";

const INHERITED_SOCKET = 3;

function carry(from: Socket, target: NetConnectOpts): void {
  const to = connect(target);
  from.on("error", () => to.destroy());
  to.on("error", () => from.destroy());
  from.on("close", () => to.destroy());
  to.on("close", () => from.destroy());
  from.pipe(to);
  to.pipe(from);
}

function listen(where: object, target: NetConnectOpts): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      carry(socket, { ...target, allowHalfOpen: true });
    });
    server.once("error", reject);
    server.listen(where, resolve);
  });
}

// The child is asked to end by SIGTERM, and its last answers go through here.
process.on("SIGTERM", () => {});

const [port, ...reach] = process.argv.slice(2);
if (port !== undefined && port !== "-")
  await listen({ fd: INHERITED_SOCKET }, { host: "127.0.0.1", port: Number(port) });
for (const pair of reach) {
  const at = pair.indexOf("=");
  const target = { path: pair.slice(at + 1) };
  const number = Number(pair.slice(0, at));
  await listen({ host: "127.0.0.1", port: number }, target);
  // "localhost" may mean this one first; a kernel without IPv6 has none.
  await listen({ host: "::1", port: number }, target).catch(() => {});
}
writeSync(1, "ready");
closeSync(1);
// The lowest free number is 1 again, which must not fall to a connection.
openSync("/dev/null", "w");
