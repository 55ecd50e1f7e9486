import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { peek } from "../../src/mcp/client-body.ts";
import type { ClientMessage } from "../../src/mcp/client-body.ts";
import type { Message } from "../../src/mcp/envelope.ts";
import { META } from "../../src/mcp/modern.ts";
import type { Text } from "../../src/mcp/long-text.ts";
import { ModernStdio } from "../../src/links/modern-stdio.ts";
import type { ModernCaller } from "../../src/links/modern-stdio.ts";
import { until } from "../helpers/until.ts";

interface Json {
  id?: number;
  method?: string;
  params?: Record<string, unknown> & { _meta?: Record<string, unknown> };
}

/** The hub with the child's end of its pipes in the test's hands. */
function rig() {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const got: Json[] = [];
  const faults: string[] = [];
  let rest = "";
  stdin.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) got.push(JSON.parse(line) as Json);
  });
  const onFault = (what: string) => void faults.push(what);
  const hub = new ModernStdio({
    stdin,
    stdout,
    clientVersion: "1",
    onFault,
    onBroken: assert.fail,
  });
  const say = (text: string) => stdout.write(`${text}\n`);
  const next = (count: number) => until(() => got[count - 1], "a message");
  return { hub, got, say, next, faults };
}

class Caller implements ModernCaller {
  readonly heard: string[] = [];
  notify = (raw: Text) => void this.heard.push((raw as Buffer).toString());
  answer = (raw: Text, { errorCode }: Message) =>
    void this.heard.push(`${(raw as Buffer).toString()}${errorCode ?? ""}`);
  dropped = ({ message }: Error) => void this.heard.push(message);
  ended = () => void this.heard.push("ended");
}

function request(id: string, meta = "{}", method = "tools/call"): ClientMessage {
  const text = `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{"_meta":${meta}}}`;
  const seen = peek(Buffer.from(text));
  assert.ok(seen.kind === "messages");
  return seen.messages[0]!;
}

test("callers with the same ids and tokens get their own answers, byte for byte", async () => {
  const { hub, say, next } = rig();
  const [a, b] = [new Caller(), new Caller()];
  const body = request('"x"', '{"progressToken":"t"}');
  await hub.request(body, a).sent;
  await hub.request(body, b).sent;
  const [first, second] = [(await next(1)).id!, (await next(2)).id!];
  assert.notEqual(first, second);
  const progress = (token: number) =>
    `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":1.50}}`;
  say(progress(second));
  say(`{"jsonrpc":"2.0","id":${second},"result":{"big":12345678901234567890}}`);
  say(`{"jsonrpc":"2.0","id":${first},"error":{"code":-32601,"message":"no"}}`);
  await until(() => a.heard.length > 0, "the answer");
  assert.deepEqual(b.heard, [
    '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1.50}}',
    '{"jsonrpc":"2.0","id":"x","result":{"big":12345678901234567890}}',
  ]);
  assert.deepEqual(a.heard, [
    '{"jsonrpc":"2.0","id":"x","error":{"code":-32601,"message":"no"}}-32601',
  ]);
});

test("what belongs to a subscription reaches its own listener under its own id", async () => {
  const { hub, say, next } = rig();
  const [a, b] = [new Caller(), new Caller()];
  await hub.request(request("7", "{}", "subscriptions/listen"), a).sent;
  await hub.request(request("7", "{}", "subscriptions/listen"), b).sent;
  const id = (await next(2)).id!;
  const changed = (subscription: number) =>
    `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"${META.subscriptionId}":${subscription}}}}`;
  say(changed(id));
  say(`{"jsonrpc":"2.0","id":${id},"result":{"_meta":{"${META.subscriptionId}":${id}}}}`);
  await until(() => b.heard.length === 2, "the end of the subscription");
  assert.equal(b.heard[0], changed(7));
  assert.equal(
    b.heard[1],
    `{"jsonrpc":"2.0","id":7,"result":{"_meta":{"${META.subscriptionId}":7}}}`,
  );
  assert.deepEqual(a.heard, []);
});

test("a subscription that the child tears down gets no answer", async () => {
  const { hub, say, next } = rig();
  const caller = new Caller();
  await hub.request(request("7", "{}", "subscriptions/listen"), caller).sent;
  const { id } = await next(1);
  say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id}}}`);
  await until(() => caller.heard.length > 0, "the end");
  assert.deepEqual(caller.heard, ["the child ended the request"]);
});

test("log messages reach the calls that asked for their level, and no others", async () => {
  const { hub, say } = rig();
  const [debug, error, none] = [new Caller(), new Caller(), new Caller()];
  const asking = (id: string, level: string) => request(id, `{"${META.logLevel}":"${level}"}`);
  await hub.request(asking("1", "debug"), debug).sent;
  await hub.request(asking("2", "error"), error).sent;
  await hub.request(request("3"), none).sent;
  const info = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}';
  say(info);
  await until(() => debug.heard.length > 0, "the log message");
  assert.deepEqual([debug.heard, error.heard, none.heard], [[info], [], []]);
});

test("a caller that leaves has its request cancelled, and hears nothing more", async () => {
  const { hub, say, next, got } = rig();
  const caller = new Caller();
  const { cancel } = hub.request(request("1"), caller);
  const { id } = await next(1);
  cancel();
  assert.deepEqual((await next(2)).params?.["requestId"], id);
  say(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
  cancel();
  await hub.request(request("2"), new Caller()).sent;
  await next(3);
  assert.deepEqual(caller.heard, []);
  assert.equal(got.filter(({ method }) => method === "notifications/cancelled").length, 1);
});

test("when the child ends everybody who waits hears of it, and nobody waits after that", async () => {
  const { hub } = rig();
  const caller = new Caller();
  await hub.request(request("1"), caller).sent;
  hub.end();
  assert.deepEqual(caller.heard, ["ended"]);
  assert.throws(() => hub.request(request("2"), caller), { code: "UPSTREAM_RESET" });
});

test("a child that knows no modern revision is refused at the first question", async () => {
  const { hub, say, next } = rig();
  const discovered = hub.discover();
  const { id, method } = await next(1);
  assert.equal(method, "server/discover");
  say(`{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"Method not found"}}`);
  await assert.rejects(discovered, (error) => {
    assert.ok(error instanceof SupervisorError);
    return error.code === "UPSTREAM_INVALID";
  });
});

test("tools are asked for once to learn which arguments headers mirror, and learned from what clients ask", async () => {
  const { hub, say, next, got } = rig();
  const tools = (name: string, header: string) =>
    `{"tools":[{"name":"${name}","inputSchema":{"properties":{"r":{"x-mcp-header":"${header}"}}}}]}`;
  const learning = hub.paramHeaders("echo", { sampling: {} });
  const { id, params } = await next(1);
  assert.deepEqual(params?._meta?.[META.clientCapabilities], { sampling: {} });
  say(`{"jsonrpc":"2.0","id":${id},"result":${tools("echo", "One")}}`);
  assert.deepEqual(await learning, [{ header: "mcp-param-one", path: ["r"] }]);
  await hub.paramHeaders("echo", {});
  assert.equal(got.length, 1);
  await hub.request(request("1", "{}", "tools/list"), new Caller()).sent;
  say(`{"jsonrpc":"2.0","id":${(await next(2)).id},"result":${tools("echo", "Two")}}`);
  await until(
    async () => (await hub.paramHeaders("echo", {}))[0]?.header === "mcp-param-two",
    "the news",
  );
});

test("a request of the child is its fault, because this era has none", async () => {
  const { say, faults } = rig();
  say('{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}');
  await until(() => faults.length > 0, "the fault");
  assert.match(faults[0]!, /request/);
});
