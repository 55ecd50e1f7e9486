import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import type { Interface } from "node:readline";
import { test } from "node:test";
import { createSecureContext } from "node:tls";
import type { ShimLink, StartOrder } from "../../../src/engines/kubernetes/shim.ts";
import { newIdentities, noShim, startShim } from "../../helpers/real-shim.ts";
import { until } from "../../helpers/until.ts";

const skip = noShim;
const order = (argv: string[], more: Partial<StartOrder> = {}): StartOrder => ({
  argv,
  env: {},
  cwd: null,
  stdio: "pipes",
  orphanMs: 60_000,
  graceMs: 1000,
  ...more,
});
const sh = (script: string, more?: Partial<StartOrder>) => order(["sh", "-c", script], more);

const linesOf = ({ stdout }: ShimLink): Interface => createInterface({ input: stdout });
const next = async (lines: Interface): Promise<string> =>
  ((await once(lines, "line")) as [string])[0];

test("a child is started with its environment, spoken to, and told to end", { skip }, async (t) => {
  const { connect: call } = await startShim(t);
  const link = await call();
  assert.equal(link.state, "empty");
  const env = { TOKEN: "secret" };
  await link.start(sh('echo "$TOKEN ${KUBERNETES_PORT:-none}"; exec cat', { env }));
  const lines = linesOf(link);
  assert.equal(await next(lines), "secret none");
  link.stdin.write("hello\n");
  assert.equal(await next(lines), "hello");
  const { code, signal } = await link.stop(5000);
  assert.deepEqual({ code, signal }, { code: null, signal: "SIGTERM" });
});

test("what takes no notice of the order to end is killed", { skip }, async (t) => {
  const { connect: call } = await startShim(t);
  const link = await call();
  await link.start(sh("trap '' TERM; echo up; while :; do sleep 1; done"));
  await next(linesOf(link));
  assert.equal((await link.stop(50)).signal, "SIGKILL");
});

test(
  "an end by itself is told with its code, and what is no message line by line",
  { skip },
  async (t) => {
    const { connect: call, lines } = await startShim(t);
    const link = await call();
    await link.start(sh("echo oops >&2; exit 3", { stdio: "none" }));
    assert.equal((await link.exited).code, 3);
    await until(() => lines.includes("stderr oops"), "its words are told");
  },
);

test("what cannot be started is refused with a reason", { skip }, async (t) => {
  const { connect: call } = await startShim(t);
  const link = await call();
  await assert.rejects(link.start(order(["no-such-program"])), {
    code: "INSTANCE_SPAWN_FAILED",
    message: /no-such-program.*not found/,
  });
});

test(
  "nobody else gets in: not without a certificate, nor with a neighbour's key or another CA's, nor at another pod",
  { skip },
  async (t) => {
    const { connect: call, port, identities } = await startShim(t);
    await assert.rejects(call({}, await newIdentities()));
    const files = await identities.issueKeys(1, { name: "mcps-0123456789-g2", uid: "6f1c" });
    const { "tls.key": key, "tls.crt": cert, "ca.crt": ca } = files;
    const ofNeighbour = createSecureContext({ key, cert, ca });
    await assert.rejects(call({}, { contextFor: () => Promise.resolve(ofNeighbour) }));
    const pod = { name: "mcps-0123456789-g1", uid: "another" };
    await assert.rejects(call({ pod }));
    const plain = connect(port, "127.0.0.1");
    const closed = new Promise((resolve) => plain.on("close", resolve));
    plain.on("error", () => {});
    plain.write('{"op":"hello"}\n'.repeat(100));
    await closed;
    assert.equal((await call()).state, "empty");
  },
);

test(
  "a later daemon takes the child over, with what nobody has taken and with the note",
  { skip },
  async (t) => {
    const { connect: call } = await startShim(t);
    const first = await call();
    await first.start(sh("exec cat"));
    const lines = linesOf(first);
    first.stdin.write("one\n");
    assert.equal(await next(lines), "one");
    first.note(Buffer.from("kept"));
    first.stdout.pause();
    first.stdin.write("two\n");
    await once(first.stdout, "readable");
    first.close();
    const second = await call({ epoch: 2 });
    assert.equal(second.state, "running");
    assert.equal(Buffer.from(second.noted!).toString(), "kept");
    second.attach(true);
    const more = linesOf(second);
    assert.equal(await next(more), "two");
    second.stdin.write("three\n");
    assert.equal(await next(more), "three");
    await assert.rejects(call({ epoch: 1 }), {
      code: "INSTANCE_SPAWN_FAILED",
      message: /STALE_EPOCH/,
    });
    await second.kill();
  },
);

test(
  "a child that writes without end waits for its reader, and loses nothing",
  { skip },
  async (t) => {
    const { connect: call } = await startShim(t);
    const link = await call();
    await link.start(sh("seq 1 2000000 | head -c 12000000; echo; echo end; exec cat"));
    let bytes = 0;
    let tail = "";
    link.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      tail = chunk.toString().slice(-10);
    });
    await until(() => tail.endsWith("end\n"), "all of it is there");
    assert.equal(bytes, 12_000_000 + "\nend\n".length);
    await link.kill();
  },
);

test("what it is told may be more than the pipe holds", { skip }, async (t) => {
  const { connect: call } = await startShim(t);
  const link = await call();
  await link.start(sh("sleep 0.2; exec cat"));
  const line = `${"x".repeat(3_000_000)}\n`;
  let bytes = 0;
  link.stdout.on("data", (chunk: Buffer) => (bytes += chunk.length));
  link.stdin.write(line);
  link.stdin.write(line);
  await until(() => bytes === 2 * line.length, "all of it came back");
  await link.kill();
});

test("a gateway that was not heard for too long finds nothing running", { skip }, async (t) => {
  const { connect: call, process: shim } = await startShim(t);
  const link = await call();
  await link.start(sh("exec cat", { orphanMs: 300 }));
  link.close();
  const [code] = (await once(shim, "exit")) as [number];
  assert.equal(code, 0);
});

test("bytes that may be old ones keep nothing running", { skip }, async (t) => {
  const { connect: call, port, process: shim } = await startShim(t);
  let isDeaf = false;
  const between = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const socket of [near, far]) socket.on("error", () => {});
    far.on("data", (bytes) => isDeaf || near.write(bytes)).on("close", () => near.destroy());
    near.pipe(far);
  }).listen(0, "127.0.0.1");
  t.after(() => between.close());
  await once(between, "listening");
  const link = await call({ port: (between.address() as AddressInfo).port });
  const ended = once(shim, "exit");
  await link.start(sh("exec cat", { orphanMs: 300 }));
  // It goes on to be told something, by a gateway that has nothing to tell that it has heard it.
  isDeaf = true;
  const telling = setInterval(() => link.note(Buffer.from("x")), 20);
  const first = await Promise.race([ended.then(() => "the shim's end"), link.lost]);
  clearInterval(telling);
  assert.equal(first, "the shim's end");
  link.close();
});

test("a child that listens is reached through its shim", { skip }, async (t) => {
  const { connect: call, lines } = await startShim(t);
  const link = await call();
  const refused = link.dial();
  const [error] = (await once(refused, "error")) as [Error];
  assert.match(error.message, /nothing listens/);
  const script = `require("net").createServer((s) => s.pipe(s)).listen(8000, "127.0.0.1", () => console.log("up"))`;
  await link.start(order([process.execPath, "-e", script], { stdio: "none" }));
  await until(() => lines.includes("stdout up"), "it listens");
  const stream = link.dial();
  stream.write("there and back\n");
  assert.equal(await next(createInterface({ input: stream })), "there and back");
  stream.destroy();
  await link.kill();
});
