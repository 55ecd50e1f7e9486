/** Room: api. The admin API, the same on the unix socket and on TCP. In: requests of admins. Out: changes to registry and tokens, orders to the supervisor. Never serves a user, never answers with a stored secret. */
import type { IncomingMessage, Server } from "node:http";
import { Edge } from "../http/edge.ts";
import { createGuard } from "../http/guard.ts";
import { closeServer, createHttpServer, listen } from "../http/listen.ts";
import type { RefusalListener } from "../http/listen.ts";
import { peerUid } from "../systemd/peer.ts";
import { createAdminCheck, loadAdminToken } from "./admin-token.ts";
import { createApp } from "./app.ts";
import type { ControlParts } from "./parts.ts";
import { listenOnSocket } from "./socket.ts";

export interface Control {
  /** Where the TCP listener ended up, null without one. */
  readonly address: { host: string; port: number } | null;
  /** Resolves when both listeners and every connection are closed and the socket is gone. */
  close(): Promise<void>;
}

async function identifyPeer(req: IncomingMessage): Promise<string> {
  const uid = await peerUid(req.socket);
  return uid === undefined ? "control socket" : `uid ${uid}`;
}

/**
 * Opens the control API; call it only while the lock on the data folder is held.
 *
 * Rejects with LISTEN_FAILED, KEY_FILE_REFUSED or CONFIG_INVALID, and then leaves no listener.
 */
export async function openControl(rooms: Omit<ControlParts, "closing">): Promise<Control> {
  const { config } = rooms;
  const closing = new AbortController();
  const parts: ControlParts = { ...rooms, closing: closing.signal };
  // Made at the first start, TCP or not, so that switching it on later needs no second step.
  const adminToken = loadAdminToken(config.dataDir);
  rooms.scrubber.set("admin token", adminToken);
  const onRefused: RefusalListener = (requestId, refusal, request) =>
    rooms.requests.refusedUnread(requestId, refusal, request);
  // Whoever can open the socket was let in by the file system.
  const local = createHttpServer(createApp(parts, identifyPeer), { onRefused });
  await listenOnSocket(local, { path: config.controlSocket, group: config.controlGroup });
  const close = async (...servers: Server[]): Promise<void> => {
    closing.abort();
    await Promise.all(servers.map((server) => closeServer(server)));
  };
  if (config.admin === false) return { address: null, close: () => close(local) };

  const guard = createGuard({
    hosts: config.allowedHosts,
    origins: config.allowedOrigins,
    pages: "own",
  });
  const checkToken = createAdminCheck(adminToken);
  const edge = new Edge(config.trustProxy, (address) =>
    rooms.log.warn({ remote_addr: address }, "too many connections: new ones are turned away"),
  );
  const remote = createHttpServer(
    createApp(
      parts,
      (req) => {
        guard(req);
        edge.admit(req, checkToken);
        return "admin token";
      },
      edge,
    ),
    { edge, onRefused },
  );
  const { host } = config.admin;
  try {
    const port = await listen(remote, config.admin);
    return { address: { host, port }, close: () => close(local, remote) };
  } catch (error) {
    await closeServer(local);
    throw error;
  }
}
