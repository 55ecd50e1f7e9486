import assert from "node:assert/strict";
import { test } from "node:test";
import { ownMessage, peek } from "../../src/mcp/client-body.ts";
import type { ClientMessage } from "../../src/mcp/client-body.ts";
import { LongText } from "../../src/mcp/long-text.ts";
import { allPages, listsOf } from "../../src/sessions/list-pages.ts";
import type { Ask, ListMethod } from "../../src/sessions/list-pages.ts";
import { ShownLists } from "../../src/sessions/shown-lists.ts";

const TOOLS = "tools/list";

const answer = (result: string, id = "1"): Buffer =>
  Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":${result}}`);

const page = (items: string, next?: string, key = "tools"): string =>
  `{"${key}":${items}${next === undefined ? "" : `,"nextCursor":${next}`}}`;

function request(method: string, params?: object): ClientMessage {
  const seen = peek(Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })));
  assert.ok(seen.kind === "messages");
  return seen.messages[0]!;
}

/** A server with these pages, each of which leads to the next, and what it was asked. */
function serverWith(...results: string[]): { ask: Ask; asked: string[] } {
  const asked: string[] = [];
  const ask: Ask = (_method, params) => {
    asked.push(params);
    return Promise.resolve(answer(results[asked.length - 1]!, '"ours"'));
  };
  return { ask, asked };
}

const pagesOf = (...results: string[]) => allPages(serverWith(...results).ask, TOOLS);

test("all pages of a list are asked for, each with the cursor as the server wrote it", async () => {
  const { ask, asked } = serverWith(page("[1]", '"\\u0061/2"'), page("[ 2 ]", '"c"'), page("[]"));
  const pages = await allPages(ask, TOOLS);
  assert.deepEqual(asked, ["{}", '{"cursor":"\\u0061/2"}', '{"cursor":"c"}']);
  assert.deepEqual(pages?.map(({ result }) => result.toString()).slice(1), [
    '{"tools":[ 2 ],"nextCursor":"c"}',
    '{"tools":[]}',
  ]);
});

test("no cursor, an empty one and null end a list", async () => {
  for (const last of [page("[]"), page("[]", '""'), page("[]", "null")])
    assert.equal((await pagesOf(last))?.length, 1);
});

test("a list without end, one over a MiB, and an error are not known whole", async () => {
  const { ask, asked } = serverWith(...Array.from({ length: 30 }, () => page("[1]", '"again"')));
  assert.equal(await allPages(ask, TOOLS), undefined);
  assert.equal(asked.length, 20);
  const half = page(`["${"x".repeat(600_000)}"]`, '"2"');
  assert.equal(await pagesOf(half, half), undefined);
  const refusal = Buffer.from('{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}');
  assert.equal(await allPages(() => Promise.resolve(refusal), TOOLS), undefined);
  await assert.rejects(
    allPages(() => Promise.reject(new Error("gone")), TOOLS),
    /gone/,
  );
});

test("the lists of a server are those that its capabilities name", () => {
  assert.deepEqual(listsOf({ tools: {}, logging: {} }), [TOOLS]);
  assert.deepEqual(listsOf({ resources: { subscribe: true }, prompts: false }), [
    "resources/list",
    "resources/templates/list",
  ]);
});

test("a list differs where its items do, byte for byte, and in nothing else of the answer", async () => {
  const shown = new ShownLists();
  shown.note(request(TOOLS), answer('{"_meta":{"at":1},"tools":[{"name":"a"}]}'));
  assert.equal(shown.differs(TOOLS, await pagesOf('{"tools":[{"name":"a"}]}')), false);
  assert.equal(shown.differs(TOOLS, await pagesOf('{"tools":[{"name":"b"}]}')), true);
  assert.equal(
    shown.differs(TOOLS, await pagesOf('{"tools":[{"name":"a"}],"nextCursor":"x"}')),
    true,
  );
});

test("a list that the client was shown nothing of never differs, an unknown one always does", async () => {
  const shown = new ShownLists();
  assert.equal(shown.differs("prompts/list", undefined), false);
  shown.note(request(TOOLS), answer(page("[1]")));
  assert.deepEqual(shown.methods, [TOOLS]);
  assert.equal(shown.differs("prompts/list", await pagesOf(page("[2]"))), false);
  assert.equal(shown.differs(TOOLS, undefined), true);
});

test("pages are compared as far as the client has read, whatever the cursors are called now", async () => {
  const shown = new ShownLists();
  shown.note(request(TOOLS), answer(page("[1]", '"old-2"')));
  assert.equal(shown.differs(TOOLS, await pagesOf(page("[1]", '"n"'), page("[9]"))), false);
  shown.note(request(TOOLS, { cursor: "old-2" }), answer(page("[2]", '"old-3"')));
  shown.note(request(TOOLS, { cursor: "old-3" }), answer(page("[3]")));
  const now = (second: string) => pagesOf(page("[1]", '"n"'), page(second, '"m"'), page("[3]"));
  assert.equal(shown.differs(TOOLS, await now("[2]")), false);
  assert.equal(shown.differs(TOOLS, await now("[22]")), true);
  // The second page again changes nothing, and the first begins anew.
  shown.note(request(TOOLS, { cursor: "old-2" }), answer(page("[2]", '"old-3"')));
  assert.equal(shown.differs(TOOLS, await now("[2]")), false);
  shown.note(request(TOOLS), answer(page("[7]")));
  assert.equal(shown.differs(TOOLS, await pagesOf(page("[7]"))), false);
});

test("what cannot be known differs: a cursor from elsewhere, and lists over the limits", async () => {
  const fresh = await pagesOf(page("[1]"));
  const noted = (...notes: (readonly [object | undefined, Buffer | LongText])[]): boolean => {
    const shown = new ShownLists();
    for (const [params, text] of notes) shown.note(request(TOOLS, params), text);
    return shown.differs(TOOLS, fresh);
  };
  assert.equal(noted([{ cursor: "never given" }, answer(page("[1]"))]), true);
  const long = answer(page(`["${"x".repeat(2 ** 20)}"]`));
  assert.equal(noted([undefined, long]), true);
  assert.equal(noted([undefined, new LongText([long.subarray(0, 10), long.subarray(10)])]), true);
  const endless = Array.from(
    { length: 30 },
    (_, index) =>
      [
        index === 0 ? undefined : { cursor: `c${index}` },
        answer(page("[1]", `"c${index + 1}"`)),
      ] as const,
  );
  assert.equal(noted(...endless), true);
});

test("a list in pieces counts as one in one piece, and an error or another answer tells nothing", async () => {
  const shown = new ShownLists();
  const whole = answer(page("[1,2]"));
  shown.note(request(TOOLS), new LongText([whole.subarray(0, 20), whole.subarray(20)]));
  const fresh = await pagesOf(page("[1,2]"));
  shown.note(request(TOOLS), Buffer.from('{"jsonrpc":"2.0","id":1,"error":{"code":1}}'));
  shown.note(request("tools/call"), answer("{}"));
  assert.equal(shown.differs(TOOLS, fresh), false);
  assert.deepEqual(shown.methods, [TOOLS]);
});

test("the cursor of a request is found in a batch and in a message of ours", async () => {
  const batch = `[{"jsonrpc":"2.0","id":1,"method":"${TOOLS}","params":{"cursor":"2"}}]`;
  const seen = peek(Buffer.from(batch));
  assert.ok(seen.kind === "messages");
  const own = ownMessage(`{"id":1,"method":"${TOOLS}","params":{"cursor":"2"}}`, "1", TOOLS);
  for (const message of [seen.messages[0]!, own]) {
    const shown = new ShownLists();
    shown.note(request(TOOLS), answer(page("[1]", '"2"')));
    shown.note(message, answer(page("[2]")));
    const method: ListMethod = TOOLS;
    assert.equal(shown.differs(method, await pagesOf(page("[1]", '"z"'), page("[2]"))), false);
    assert.equal(shown.differs(method, await pagesOf(page("[1]", '"z"'), page("[3]"))), true);
  }
});
