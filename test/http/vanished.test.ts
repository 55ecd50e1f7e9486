import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { ClientStream, Heart } from "../../src/gateway/client-stream.ts";
import { Edge } from "../../src/http/edge.ts";
import { closeServer, createHttpServer, listen } from "../../src/http/listen.ts";
import { farSide } from "../helpers/far-client.ts";
import { until } from "../helpers/until.ts";

test("a client that is gone without a word is found by the heartbeat it does not acknowledge", async (t) => {
  const far = farSide(t);
  if (typeof far === "string") return t.skip(far);
  const heart = new Heart(100);
  t.after(() => heart.stop());
  const edge = new Edge([], () => undefined, { sweepMs: 50, retries: 4 });
  const opened: ServerResponse[] = [];
  const server = createHttpServer(
    (_req, res) => {
      heart.add(new ClientStream(res, heart));
      opened.push(res);
    },
    { edge },
  );
  const port = await listen(server, { host: "::", port: 0 });
  t.after(() => closeServer(server));

  const words = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
  const near = connect(port, "127.0.0.1");
  t.after(() => near.destroy());
  near.write(words);
  const nearEnd = await until(() => opened.shift(), "the near client is there");
  let beats = 0;
  near.on("data", () => (beats += 1));
  const client = far.dial(port, words);
  const farEnd = await until(() => opened.shift(), "the far client is there");
  await until(() => client.text().split(":\n\n").length > 3, "heartbeats reach it");
  assert.equal(farEnd.destroyed, false);

  far.vanish();
  const before = beats;
  await until(() => farEnd.destroyed, "it is found", 30_000);
  assert.ok(beats > before, "the near client got its heartbeats meanwhile");
  assert.equal(nearEnd.destroyed, false);
});
