import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServerDef } from "../../src/config/config.ts";
import { SupervisorError } from "../../src/errors.ts";
import type { CallTarget } from "../../src/sessions/call-links.ts";
import { calledIn, replicasOf, whyNone } from "../../src/tools/choice.ts";
import type { Found } from "../../src/tools/choice.ts";
import { brokenOff, failureIn, isUnsent, unavailable } from "../../src/tools/failures.ts";
import { offerIn } from "../../src/tools/offer.ts";
import { listOf } from "../../src/tools/tool-list.ts";

const page = (...tools: object[]): Buffer => Buffer.from(JSON.stringify({ tools }));
const targetOf = (name: string): CallTarget =>
  ({ server: { name } as ServerDef }) as unknown as CallTarget;

async function having(name: string, ...tools: object[]): Promise<Found> {
  return { target: targetOf(name), offer: await offerIn([page(...tools)]), isFresh: true };
}

const search = (title: string, ...keys: string[]): object => ({
  name: "search",
  title,
  inputSchema: {
    type: "object",
    properties: Object.fromEntries(keys.map((key) => [key, { type: "string" }])),
  },
});

const namesOf = (targets: readonly CallTarget[]) => targets.map(({ server }) => server.name);

test("servers that define a tool alike are replicas, however they write it; others are not", async () => {
  const found = [
    await having("delta", search("one", "a", "b")),
    await having("alpha", search("two", "b", "a")),
    await having("mail", search("three", "query")),
    await having("none", { name: "other", inputSchema: {} }),
  ];
  assert.deepEqual(namesOf(replicasOf(found, "search", null)), ["alpha", "delta"]);
  assert.deepEqual(namesOf(replicasOf(found, "search", "delta")), ["alpha", "delta"]);
  assert.deepEqual(namesOf(replicasOf(found, "search", "mail")), ["mail"]);
  assert.deepEqual(namesOf(replicasOf(found, "search", "none")), ["alpha", "delta"]);
  assert.deepEqual(replicasOf(found, "nothing", null), []);
  assert.equal(whyNone(found, "nothing").code, "TOOL_NOT_FOUND");
  const failure = new SupervisorError("TOKEN_MISSING", "no token");
  assert.equal(whyNone([...found, { target: targetOf("x"), failure }], "nothing"), failure);
});

test("a list shows each definition once, as its server wrote it, with those who have it", async () => {
  const found = [
    await having("beta", search("of beta", "a")),
    await having("alpha", search("of alpha", "a"), { name: "big", servers: ["a lie"] }),
    await having("mail", search("of mail", "query")),
    { target: targetOf("gone"), failure: new SupervisorError("STORE_FAILED", "a secret path") },
  ];
  const { tools, errors } = listOf(found, "mail");
  assert.deepEqual(
    tools.map((text) => {
      const { name, title, servers } = JSON.parse(text) as Record<string, unknown>;
      return [name, title, servers];
    }),
    [
      ["search", "of mail", ["mail"]],
      ["search", "of alpha", ["alpha", "beta"]],
      ["big", undefined, ["alpha"]],
    ],
  );
  assert.deepEqual(errors, [{ server: "gone", message: "something failed here" }]);
});

test("what is no tool is left out of an offer, and a schema that is nested as deep as none is harms nobody", async () => {
  const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
  const text = `{"tools":[5,{"name":5},{"name":""},[],{"name":"ok"},{"name":"ok","title":"again"},{"name":"deep","inputSchema":${deep}}]}`;
  const offer = await offerIn([Buffer.from(text), Buffer.from('{"tools":"none"}')]);
  assert.ok(offer.has("ok"));
  assert.equal(offer.get("ok")!.json, '{"name":"ok"}');
});

test("a server is called by its slug, else by its name, else by its URL, as they were written down", () => {
  const server = (name: string, title: string, url: string) =>
    ({ kind: "remote", name, title, url }) as ServerDef;
  const notes = server("notes", "mail", "http://h:1/sse");
  const mail = server("mail", "绘图服务", "http://h:1/sse");
  const called = (said: string) => calledIn([notes, mail], said);
  for (const [said, meant] of [
    ["notes", notes],
    ["mail", mail],
    ["绘图服务", mail],
    ["http://h:1/sse", notes],
    ["http://h:1/sse/", undefined],
    ["Notes", undefined],
  ] as const)
    assert.equal(called(said), meant, said);
});

test("503 is for what was not sent, and says when to try again; what broke off may have run", () => {
  const codeOf = ({ code, status, retryAfterSeconds }: SupervisorError) => [
    code,
    status,
    retryAfterSeconds,
  ];
  const of = (code: SupervisorError["code"], more = {}) => new SupervisorError(code, "it", more);
  assert.deepEqual(codeOf(unavailable(of("INSTANCE_SPAWN_FAILED"))), [
    "SERVER_UNAVAILABLE",
    503,
    5,
  ]);
  assert.deepEqual(codeOf(unavailable(of("UPSTREAM_TIMEOUT"))), ["SERVER_UNAVAILABLE", 503, 5]);
  const resting = of("INSTANCE_BACKING_OFF", { retryAfterSeconds: 40 });
  assert.deepEqual(codeOf(unavailable(resting)), ["INSTANCE_BACKING_OFF", 503, 40]);
  assert.deepEqual(codeOf(unavailable(of("TOKEN_EXPIRED"))), ["TOKEN_EXPIRED", 503, 5]);
  for (const code of ["TOOL_NOT_FOUND", "REQUEST_INVALID", "INTERNAL", "STORE_FAILED"] as const)
    assert.equal(unavailable(of(code)).code, code);

  assert.equal(isUnsent(of("UPSTREAM_RESET", { data: { mayHaveHappened: false } })), true);
  assert.equal(isUnsent(of("UPSTREAM_RESET", { data: { mayHaveHappened: true } })), false);
  assert.equal(isUnsent(of("UPSTREAM_RESET")), false);
  for (const code of ["UPSTREAM_RESET", "INSTANCE_EXITED", "STOPPING"] as const)
    assert.deepEqual(codeOf(brokenOff(of(code))), ["TOOL_FAILED", 500, undefined]);
  for (const code of ["TOOL_FAILED", "REQUEST_INVALID", "INTERNAL"] as const)
    assert.equal(brokenOff(of(code)).code, code);

  const answer = (error: unknown) => Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: 1, error }));
  const failed = (error: unknown) => {
    const { code, message } = failureIn(answer(error), "notes");
    return [code, message];
  };
  assert.deepEqual(failed({ code: -32602, message: "bad x" }), ["REQUEST_INVALID", "bad x"]);
  assert.deepEqual(failed({ code: -32000, message: "broke" }), ["TOOL_FAILED", "broke"]);
  assert.equal(failed({ code: 1, message: "x".repeat(100_000) })[1]!.length, 4096);
  assert.equal(failed("nonsense")[0], "TOOL_FAILED");
  assert.equal(failed(null)[0], "TOOL_FAILED");
});
