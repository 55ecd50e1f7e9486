import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { test } from "node:test";
import { CHILDREN, kubectl, podsOf, recipes, startGateway } from "./rig.ts";

const PORT = 8443;

/** What comes of a TLS connection with this identity that says a gateway's hello: the first bytes, or the refusal. */
async function call(host: string, keys: { ca?: Buffer; cert?: Buffer; key?: Buffer }) {
  const socket = connectTls({
    host,
    port: PORT,
    minVersion: "TLSv1.3",
    rejectUnauthorized: false,
    ...keys,
  });
  const hello = Buffer.from(
    JSON.stringify({ op: "hello", protocol: 1, epoch: 2 ** 52, for: "control" }),
  );
  const head = Buffer.alloc(5);
  head.write("J");
  head.writeUInt32BE(hello.length, 1);
  socket.on("secureConnect", () => socket.write(Buffer.concat([head, hello])));
  let got = "";
  socket.on("data", (chunk: Buffer) => (got += chunk.toString("latin1")));
  await Promise.race([once(socket, "close"), once(socket, "error").catch(() => undefined)]).catch(
    () => undefined,
  );
  socket.destroy();
  return got;
}

test("a pod's own key, a stranger's and plain TCP get not one byte from any pod's shim", async (t) => {
  const gateway = await startGateway(t, { stdio: recipes.stdio() });
  const users = ["ida", "jon", "kim"];
  const sessions = await Promise.all(users.map((user) => gateway.open(user, "stdio", "mcp")));
  await Promise.all(sessions.map((session) => session.call(1, "echo", { text: "x" })));
  const pods = podsOf(...users);
  assert.equal(pods.length, users.length);
  const [mine] = pods;
  const { data } = JSON.parse(
    kubectl(["-n", CHILDREN, "get", "secret", mine!.metadata.name, "-o", "json"]),
  ) as { data: Record<string, string> };
  const file = (name: string) => Buffer.from(data[name]!, "base64");
  const own = { ca: file("ca.crt"), cert: file("tls.crt"), key: file("tls.key") };
  for (const { status } of pods) {
    assert.equal(await call(status.podIP!, own), "", "the key of a pod");
    assert.equal(await call(status.podIP!, {}), "", "no key");
    const plain = connect(PORT, status.podIP);
    plain.write("GET / HTTP/1.1\r\n\r\n");
    let said = "";
    plain.on("data", (chunk: Buffer) => (said += chunk.toString("latin1")));
    await once(plain, "close");
    // What TLS itself answers to what is no TLS.
    assert.doesNotMatch(said, /hello|event/);
  }
  await Promise.all(sessions.map((session) => session.call(2, "echo", { text: "still" })));
});
