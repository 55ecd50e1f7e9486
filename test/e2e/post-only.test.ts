import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { call, fixture, initialize } from "../helpers/fixtures.ts";

const answering = (gets: string, more: object = {}) => ({
  ...fixture("http", "says-bytes", "--gets", gets),
  ...more,
});

test("a server that takes POSTs alone is ready, whatever it says to a GET, unless that is 'not yet'", async (t) => {
  const soon = { startTimeout: "5s" };
  const rig = await startForAlice(t, {
    not: answering("404"),
    fails: answering("500"),
    lacks: answering("501"),
    odd: answering("505"),
    starts: answering("503", soon),
    wavers: answering("404,502", soon),
  });
  const ready = ["not", "fails", "lacks", "odd"].map(async (server) => {
    const session = await rig.http(server);
    const body = call("well", "echo", { text: "well" });
    const { status, body: text } = await rig.post(`/u/alice/${server}/mcp`, body, session);
    assert.equal(status, 200, `${server}: ${text}`);
    assert.match(text, /"well"/);
  });
  const never = [
    ["starts", /GET \/mcp answered 503/],
    ["wavers", /GET \/mcp answered (404|502)/],
  ].map(async ([server, why]) => {
    const { status, body } = await rig.post(`/u/alice/${server as string}/mcp`, initialize());
    assert.equal(status, 504, body);
    assert.match(body, why as RegExp);
  });
  await Promise.all([...ready, ...never]);
});
