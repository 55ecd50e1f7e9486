import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import { boxed, callOver, noSandbox } from "../helpers/isolation.ts";

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
