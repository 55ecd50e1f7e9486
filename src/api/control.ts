/** Room: api. The admin API, the same on the unix socket and on TCP. In: requests of admins. Out: changes to registry and tokens, orders to the supervisor. Never serves a user, never answers with a stored secret. */
import type { IncomingMessage, Server } from "node:http";
import { Edge } from "../http/edge.ts";
import { createGuard } from "../http/guard.ts";
import { closeServer, createHttpServer, listen } from "../http/listen.ts";
import type { RefusalListener } from "../http/listen.ts";
import { peerUid } from "../systemd/peer.ts";
import { requireOwnPage } from "../http/own-page.ts";
import { AppPages } from "../web/app-pages.ts";
import { AdminSessions } from "./admin-sessions.ts";
import { bearerOf, createTokenTest, loadAdminToken, notTheToken } from "./admin-token.ts";
import { createApp } from "./app.ts";
import type { Admin, Door } from "./app.ts";
import { panelEntrance, whoOf } from "./panel-routes.ts";
import type { ControlParts } from "./parts.ts";
import { listenOnSocket } from "./socket.ts";

export interface Control {
  /** Where the TCP listener ended up, null without one. */
  readonly address: { host: string; port: number } | null;
  /** Resolves when both listeners and every connection are closed and the socket is gone. */
  close(): Promise<void>;
}

async function identifyPeer(req: IncomingMessage): Promise<Admin> {
  const uid = await peerUid(req.socket);
  return { who: uid === undefined ? "control socket" : `uid ${uid}` };
}

/** The door of the TCP listener: the admin token, or a session of the panel, which only a page of ours may use. */
function networkDoor(parts: ControlParts, adminToken: string, edge: Edge): Door {
  const { config, publicUrl, adminSessions: sessions } = parts;
  const isAdminToken = createTokenTest(adminToken);
  const guard = createGuard({
    hosts: config.allowedHosts,
    origins: [publicUrl.origin, ...config.allowedOrigins],
    pages: "own",
  });
  const check = (req: IncomingMessage): Admin => {
    const given = bearerOf(req);
    if (isAdminToken(given)) return { who: "admin token" };
    const session = sessions.find(given);
    if (session === undefined) throw notTheToken();
    requireOwnPage(req, publicUrl);
    session.lastSeenAt = Date.now();
    return { who: whoOf(session), session };
  };
  const pages = new AppPages("");
  const entrance = panelEntrance({ pages, sessions, edge, publicUrl, isAdminToken });
  return { guard, entrance, identify: (req) => edge.admit(req, check), edge };
}

/**
 * Opens the control API; call it only while the lock on the data folder is held.
 *
 * Rejects with LISTEN_FAILED, KEY_FILE_REFUSED or CONFIG_INVALID, and then leaves no listener.
 */
export async function openControl(
  rooms: Omit<ControlParts, "closing" | "adminSessions" | "adminAddress">,
): Promise<Control> {
  const { config } = rooms;
  const closing = new AbortController();
  const adminSessions = new AdminSessions();
  let address: Control["address"] = null;
  const own = { closing: closing.signal, adminSessions, adminAddress: () => address };
  const parts: ControlParts = { ...rooms, ...own };
  // Made at the first start, TCP or not, so that switching it on later needs no second step.
  const adminToken = loadAdminToken(config.dataDir);
  rooms.scrubber.set("admin token", adminToken);
  const onRefused: RefusalListener = (requestId, refusal, request) =>
    rooms.requests.refusedUnread(requestId, refusal, request);
  // Whoever can open the socket was let in by the file system.
  const local = createHttpServer(createApp(parts, { identify: identifyPeer }), { onRefused });
  await listenOnSocket(local, { path: config.controlSocket, group: config.controlGroup });
  const close = async (...servers: Server[]): Promise<void> => {
    closing.abort();
    adminSessions.endAll();
    await Promise.all(servers.map((server) => closeServer(server)));
  };
  if (config.admin === false) return { address, close: () => close(local) };

  const edge = new Edge(config.trustProxy, (from) =>
    rooms.log.warn({ remote_addr: from }, "too many connections: new ones are turned away"),
  );
  const app = createApp(parts, networkDoor(parts, adminToken, edge));
  const remote = createHttpServer(app, { edge, onRefused });
  const { host } = config.admin;
  try {
    const port = await listen(remote, config.admin);
    address = { host, port };
    return { address, close: () => close(local, remote) };
  } catch (error) {
    await closeServer(local);
    throw error;
  }
}
