import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, statSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { orderControl } from "../helpers/control.ts";
import { daemonFolder, startDaemon } from "../helpers/daemon.ts";
import { bearer, initialize, json } from "../helpers/fixtures.ts";
import { boxed, callOver, noOutbound, noSandbox, notRoot } from "../helpers/isolation.ts";
import { ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

interface Status {
  isolation: string;
  instances: { user: string; isolation: string; port: number; pid: number }[];
}

test(
  "in a sandbox the child is served over a socket, and has no port on this machine",
  { skip: noSandbox },
  async (t) => {
    const config = { isolation: "sandbox", servers: { echo: boxed("echo-sse") } };
    const daemon = await startDaemon(t, { config });
    const { key } = await daemon.addUser("alice", "token-of-alice");
    const alice = { user: "alice", secret: key.secret, server: "echo" };
    const env = JSON.parse(await callOver(daemon.port, alice, "env")) as Record<string, string>;
    assert.equal(env["USER_ACCESS_TOKEN"], "token-of-alice");
    const status = (await daemon.cli(["status"])).json<Status>();
    assert.equal(status.isolation, "sandbox");
    assert.equal(status.instances[0]?.isolation, "sandbox");
  },
);

test(
  "a server without a sandbox beside one that has one is warned of, at the start and by doctor",
  { skip: noSandbox },
  async (t) => {
    const open = { ...boxed("echo-sse"), isolation: "none" };
    const servers = { open, shut: boxed("echo-sse"), far: { url: "http://127.0.0.1:9/mcp" } };
    const config = { isolation: "sandbox", defaultServer: "shut", servers };
    const daemon = await startDaemon(t, { config });
    const warning = /children of open run at level none, .* the tokens of children of shut from/;
    await until(() => warning.test(daemon.log()), "the log says so");
    assert.match((await daemon.cli(["doctor"])).stdout, warning);
  },
);

const UIDS = { from: 61_161, to: 61_165 };

for (const [level, skip] of [
  ["user", notRoot],
  ["sandbox", noSandbox],
] as const) {
  test(
    `a program that comes over the control API runs at the level of the config: ${level}`,
    { skip },
    async (t) => {
      const uids = level === "user" ? UIDS : null;
      const dir = daemonFolder(t);
      // The account of a child has to get to its home.
      chmodSync(dir, 0o711);
      const daemon = await startDaemon(t, { dir, config: { isolation: level, uids } });
      const network = level === "sandbox" ? "none" : undefined;
      const body = { name: "Program", ...boxed("echo-sse"), network };
      await orderControl(daemon.socket, "POST", "/api/mcp/configs", body);
      await orderControl(daemon.socket, "PUT", "/api/groups/all/grants?server=program", {});
      const { key } = await daemon.addUser("alice");
      await callOver(daemon.port, { user: "alice", secret: key.secret, server: "program" }, "echo");
      const [row] = (await daemon.cli(["status"])).json<Status>().instances;
      assert.equal(row?.isolation, level);
      if (level !== "user") return;
      const { uid } = statSync(`/proc/${row.pid}`);
      assert.ok(uid >= UIDS.from && uid <= UIDS.to, `it runs as ${uid}`);
    },
  );
}

/** An address of this machine that is not its loopback, as another machine would have one. */
const outer = Object.values(networkInterfaces())
  .flat()
  .find((each) => each?.family === "IPv4" && !each.internal)?.address;

for (const [whose, account] of [
  ["this account's", undefined],
  ["an ordinary user's", { uid: 61_151, hasTun: true }],
] as const) {
  test(
    `a sandbox of ${whose} daemon with a network that leads out reaches other addresses, and no loopback`,
    { skip: noOutbound || (account ? notRoot : false) || (outer ? false : "no other address") },
    async (t) => {
      const service = createServer((socket) => socket.end()).listen(0);
      t.after(() => service.close());
      await once(service, "listening");
      const { port } = service.address() as AddressInfo;
      // It serves nobody: what it says is in its logs.
      const script = `
        for (const host of process.argv.slice(1))
          require("net").connect({ host, port: ${port} })
            .on("connect", function () { console.error("reached " + host); this.destroy(); })
            .on("error", ({ code }) => console.error(code + " " + host));`;
      const args = ["-e", script, outer!, "127.0.0.1"];
      const tries = { command: process.execPath, args, network: "full" };
      const config = { isolation: "sandbox", defaultServer: "tries", servers: { tries } };
      const daemon = await startDaemon(t, { config, account });
      const { key } = await daemon.addUser("alice");
      const headers = [...bearer(key.secret), ...json];
      const path = "/u/alice/tries/mcp";
      const { body } = await ask(daemon.port, {
        method: "POST",
        path,
        headers,
        body: initialize(),
      });
      assert.match(body, /exited with code 0 before it was ready/);
      const { stdout } = await daemon.cli(["logs", "alice"]);
      assert.match(stdout, new RegExp(`reached ${outer}`));
      assert.match(stdout, /ECONNREFUSED 127\.0\.0\.1/);
    },
  );
}
