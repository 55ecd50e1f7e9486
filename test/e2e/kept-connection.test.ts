import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { orderControl } from "../helpers/control.ts";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { rpc } from "../helpers/fixtures.ts";
import { inSeconds, signedJwt } from "../helpers/jwt.ts";
import { until } from "../helpers/until.ts";

const SKIPS_AHEAD = new URL("../helpers/skips-ahead.ts", import.meta.url).href;
const JWT_SECRET = "0123456789abcdef0123456789abcdef";
/** Is answered without a child where the server speaks HTTP. */
const PING = rpc(1, "ping");

const jwtOf = (user: string, seconds: number): string =>
  signedJwt(JWT_SECRET, { sub: user, iat: inSeconds(0), exp: inSeconds(seconds) });

/** One connection, over which the same message is sent again and again. */
class Kept {
  readonly #socket: Socket;
  readonly #message: string;
  #heard = "";

  constructor(port: number, secret: string, user: string, server: string) {
    this.#message = [
      `POST /u/${user}/${server}/mcp HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      `Authorization: Bearer ${secret}`,
      "Content-Type: application/json",
      "Accept: application/json, text/event-stream",
      `Content-Length: ${PING.length}`,
      "",
      PING,
    ].join("\r\n");
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("data", (bytes: Buffer) => (this.#heard += bytes.toString("latin1")));
    this.#socket.on("error", () => undefined);
  }

  /** What the message is answered with this time. */
  async send(): Promise<number> {
    this.#heard = "";
    this.#socket.write(this.#message);
    const [, status] = await until(
      () => /^HTTP\/1\.1 (\d{3}) [^]*\r\n\r\n./.exec(this.#heard),
      "it is answered",
    );
    assert.match(this.#heard, /\r\nconnection: keep-alive\r\n/i);
    return Number(status);
  }

  close(): void {
    this.#socket.destroy();
  }
}

interface Who {
  user: string;
  server: string;
  secret: string;
}

interface Rig {
  daemon: TestDaemon;
  /** A user whose key opens this server, and the id of the key. */
  add: (user: string, server?: string) => Promise<Who & { keyId: string }>;
  /** The message is answered, then that happens, and it is not, over the same connection and over a new one. */
  isRefused: (who: Who, status: number, change: () => Promise<unknown>) => Promise<void>;
}

async function rig(t: TestContext, reader: string): Promise<Rig> {
  const dir = daemonFolder(t);
  const secretFile = join(dir, "jwt");
  writeFileSync(secretFile, JWT_SECRET, { mode: 0o400 });
  const daemon = await startDaemon(t, {
    dir,
    config: {
      servers: { one: echoServer("http") },
      defaultServer: "one",
      jwt: { issuers: [{ secretFile }] },
      requestReader: reader,
    },
    env: { NODE_OPTIONS: `--import ${SKIPS_AHEAD}` },
  });
  return {
    daemon,
    add: async (user, server = "one") => {
      const { key } = await daemon.addUser(user, `token-of-${user}`);
      return { user, server, secret: key.secret, keyId: key.id };
    },
    isRefused: async ({ user, server, secret }, status, change) => {
      const open = (): Kept => {
        const opened = new Kept(daemon.port, secret, user, server);
        t.after(() => opened.close());
        return opened;
      };
      const kept = open();
      assert.deepEqual([await kept.send(), await kept.send()], [200, 200]);
      await change();
      assert.deepEqual([await kept.send(), await open().send()], [status, status]);
    },
  };
}

for (const reader of ["own", "node"]) {
  test(`${reader}: the same message over a kept connection is refused once its sender may not send it any more`, async (t) => {
    const { daemon, add, isRefused } = await rig(t, reader);
    const order = <T>(method: string, path: string, body?: object): Promise<T> =>
      orderControl<T>(daemon.socket, method, `/api${path}`, body);

    const revoked = await add("revoked");
    await isRefused(revoked, 401, () => order("DELETE", `/keys/${revoked.keyId}`));

    const disabled = await add("disabled");
    await isRefused(disabled, 401, () => order("POST", "/users/disabled/disable", {}));

    const { id } = await order<{ id: string }>("POST", "/mcp/configs", {
      name: "granted",
      url: "http://127.0.0.1:9/mcp",
    });
    const grants = (user: string): string => `/users/${user}/grants?server=granted`;
    const ungranted = await add("ungranted", "granted");
    await order("PUT", grants("ungranted"), {});
    await isRefused(ungranted, 404, () => order("DELETE", grants("ungranted")));

    const left = await add("left", "granted");
    await order("PUT", grants("left"), {});
    await isRefused(left, 404, () => order("DELETE", `/mcp/configs/${id}`));

    const token = { ...(await add("token")), secret: jwtOf("token", 600) };
    await isRefused(token, 401, () => order("POST", "/users/token/jwts/revoke-before", {}));

    const short = { ...(await add("short")), secret: jwtOf("short", 60) };
    const expiresAt = Date.now() + 60_000;
    const { secret } = await order<{ secret: string }>("POST", "/users/short/keys", { expiresAt });
    await isRefused({ ...short, secret }, 401, async () => {
      await isRefused(short, 401, () => {
        process.kill(daemon.pid, "SIGUSR2");
        return order("GET", "/status");
      });
    });
  });
}
