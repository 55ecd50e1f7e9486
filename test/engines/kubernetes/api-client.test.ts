import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { ApiClient } from "../../../src/engines/kubernetes/api/client.ts";
import type { Cluster } from "../../../src/engines/kubernetes/api/cluster.ts";
import { ApiFailure } from "../../../src/engines/kubernetes/api/failure.ts";
import { says, serveApi } from "../../helpers/apiserver.ts";
import type { Answer, Apiserver } from "../../helpers/apiserver.ts";
import { missing } from "../../helpers/proxies.ts";

const skip = missing("openssl", "version");
const get = { method: "GET", path: "/api/v1/namespaces/mcps/pods" } as const;

function clusterAt({ url, ca }: Apiserver, tokens = ["one", "two"]): Cluster {
  return {
    server: url,
    ca,
    serverName: undefined,
    credentials: () => Promise.resolve({ token: tokens[0] }),
    refused: () => void tokens.shift(),
  };
}

async function opened(t: TestContext, answers: Answer[]) {
  const api = await serveApi(t, answers);
  const client = new ApiClient(clusterAt(api));
  t.after(() => client.close());
  return { api, client };
}

const refused = (status: number, reason: string) => says(status, { reason, message: "said so" });

test(
  "a request carries its query and our token, and resolves with the answer",
  { skip },
  async (t) => {
    const { api, client } = await opened(t, [says(200, { items: [] })]);
    assert.deepEqual(await client.ask({ ...get, query: { limit: "5" } }), { items: [] });
    assert.deepEqual(api.asked, [{ what: `GET ${get.path}?limit=5`, by: "Bearer one" }]);
  },
);

test("a refusal is told in the apiserver's own words", { skip }, async (t) => {
  const { client } = await opened(t, [refused(403, "Forbidden")]);
  await assert.rejects(client.ask(get), { status: 403, reason: "Forbidden", message: "said so" });
});

test("who is told to come later does, and has the answer", { skip }, async (t) => {
  const late = says(429, { message: "too many" }, { "retry-after": "0" });
  const { api, client } = await opened(t, [late, late, says(200, { kind: "Pod" })]);
  assert.deepEqual(await client.ask(get), { kind: "Pod" });
  assert.equal(api.asked.length, 3);
});

test("who is told to come later without an end gives up", { skip }, async (t) => {
  const { api, client } = await opened(t, [says(429, {}, { "retry-after": "0" })]);
  await assert.rejects(client.ask(get), { status: 429 });
  assert.equal(api.asked.length, 6);
});

test("a token that is refused is fetched anew, once", { skip }, async (t) => {
  const gone = refused(401, "Unauthorized");
  const { api, client } = await opened(t, [gone, says(200, {}), gone, gone]);
  await client.ask(get);
  assert.deepEqual(
    api.asked.map(({ by }) => by),
    ["Bearer one", "Bearer two"],
  );
  await assert.rejects(client.ask(get), { status: 401 });
  assert.equal(api.asked.length, 4);
});

test("an apiserver with a certificate of somebody else's hears nothing", { skip }, async (t) => {
  const [api, other] = [await serveApi(t, [says(200, {})]), await serveApi(t, [says(200, {})])];
  const client = new ApiClient(clusterAt({ ...api, ca: other.ca }));
  t.after(() => client.close());
  await assert.rejects(client.ask(get), (failure: ApiFailure) => {
    assert.match(failure.message, /^the apiserver localhost:\d+ cannot be reached \(/);
    return failure.isUnknown;
  });
  assert.deepEqual(api.asked, []);
});

test(
  "a connection that breaks, or an answer that is cut short, leaves it open what was done",
  { skip },
  async (t) => {
    const breaks: Answer = (request) => request.socket.destroy();
    const cut: Answer = (_request, response) => response.end('{"kind":');
    const { client } = await opened(t, [breaks, cut]);
    for (const _ of [1, 2])
      await assert.rejects(client.ask(get), ({ isUnknown }: ApiFailure) => isUnknown);
  },
);

test("a request that was given up rejects with the reason", { skip }, async (t) => {
  const giveUp = new AbortController();
  const reason = new Error("given up");
  const { client } = await opened(t, [() => giveUp.abort(reason)]);
  await assert.rejects(client.ask({ ...get, signal: giveUp.signal }), reason);
});

test("the lines of an endless answer come as they are written", { skip }, async (t) => {
  const stop = new AbortController();
  const endless: Answer = (_request, response) => {
    response.writeHead(200);
    response.write('{"n":1}\n{"n"');
    response.write(":2}\n");
  };
  const { client } = await opened(t, [endless]);
  const seen: string[] = [];
  for await (const line of client.lines({ ...get, signal: stop.signal }))
    if (seen.push(line) === 2) break;
  assert.deepEqual(seen, ['{"n":1}', '{"n":2}']);
});
