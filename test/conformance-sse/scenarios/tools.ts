import assert from "node:assert/strict";
import type { Check, Scenario } from "../check.ts";
import { isAnswerTo, type Params } from "../session.ts";
import type { Tool } from "../survey.ts";
import { call, callFor, plainCall, slowCall } from "../wishes.ts";

const TOOLS = "2024-11-05/server/tools";
const PROGRESS = "2024-11-05/basic/utilities/progress";
const CANCELLATION = "2024-11-05/basic/utilities/cancellation";

const calls: Check[] = [
  {
    id: "tools-list",
    section: `${TOOLS}#listing-tools`,
    says: "tools/list names every tool once, with a schema of an object",
    run: async (visit) => {
      visit.needs("tools");
      const session = await visit.start();
      const { tools } = (await session.result("tools/list")) as { tools: Tool[] };
      assert.equal(new Set(tools.map(({ name }) => name)).size, tools.length);
      for (const { name, inputSchema } of tools) assert.equal(inputSchema?.type, "object", name);
    },
  },
  {
    id: "tools-call",
    section: `${TOOLS}#calling-tools`,
    says: "a tool answers with content",
    run: async (visit) => {
      const wanted = plainCall(visit);
      const result = await call(await visit.start(), wanted);
      const [first] = result["content"] as Params[];
      assert.equal(first?.["type"], "text");
      assert.equal(typeof first["text"], "string");
      assert.notEqual(result["isError"], true);
    },
  },
  {
    id: "tools-call-error",
    section: `${TOOLS}#error-handling`,
    says: "a tool that fails says so in its result",
    run: async (visit) => {
      const wanted = callFor(visit, "error");
      const result = await call(await visit.start(), wanted);
      assert.equal(result["isError"], true);
      assert.notDeepEqual(result["content"], []);
    },
  },
  {
    id: "tools-call-unknown",
    section: `${TOOLS}#error-handling`,
    says: "a tool that is not there is answered with an error, or a result that is one",
    run: async (visit) => {
      visit.needs("tools");
      const session = await visit.start();
      const params = { name: "no_such_tool", arguments: {} };
      const { message } = await session.request("tools/call", params);
      if (message.error) assert.equal(message.error.code, -32_602);
      else assert.equal(message.result?.["isError"], true);
    },
  },
  {
    id: "tools-list-changed",
    section: `${TOOLS}#list-changed-notification`,
    says: "a server whose tools change tells its clients",
    run: async (visit) => {
      visit.needs("tools", "listChanged");
      const wanted = callFor(visit, "tools/list_changed");
      const session = await visit.start();
      await call(session, wanted);
      await session.notification("notifications/tools/list_changed");
    },
  },
];

const progress: Check[] = ["a-token", 4711].map((progressToken) => ({
  id: `progress-${typeof progressToken}-token`,
  section: PROGRESS,
  says: `progress comes with the ${typeof progressToken} that was given for it, grows, and comes before the answer`,
  run: async (visit) => {
    const wanted = callFor(visit, "progress");
    const session = await visit.start();
    const id = session.nextId();
    await session.request("tools/call", { ...wanted, _meta: { progressToken } }, id);
    await session.settle();
    const { items } = session.inbox;
    const places = items.flatMap(({ message }, at) =>
      message.method === "notifications/progress" ? [at] : [],
    );
    const reports = places.map((at) => items[at]!.message.params ?? {});
    assert.ok(reports.length > 0, "no progress");
    for (const report of reports) assert.equal(report["progressToken"], progressToken);
    const steps = reports.map((report) => Number(report["progress"]));
    assert.ok(
      steps.every((step, at) => at === 0 || step > steps[at - 1]!),
      `steps ${steps.join()}`,
    );
    assert.ok(places.at(-1)! < items.findIndex(isAnswerTo(id)), "progress after the answer");
  },
}));

progress.push({
  id: "progress-unasked",
  section: PROGRESS,
  says: "a call without a token brings no progress",
  run: async (visit) => {
    const wanted = callFor(visit, "progress");
    const session = await visit.start();
    await call(session, wanted);
    await session.settle();
    assert.deepEqual(session.notifications("notifications/progress"), []);
  },
});

const LASTS_MS = 400;
/** A busy machine may take its time to pass a cancellation on. */
const LASTS_LONG_MS = 2000;

const cancellation: Check[] = [
  {
    id: "cancel",
    section: CANCELLATION,
    says: "a cancelled call gets no answer, and the session goes on",
    run: async (visit) => {
      const wanted = slowCall(visit, LASTS_LONG_MS);
      const session = await visit.start();
      const requestId = session.nextId();
      await session.send({ id: requestId, method: "tools/call", params: { ...wanted } });
      await session.notify("notifications/cancelled", { requestId, reason: "enough" });
      // A second call that takes as long outlasts the first.
      await call(session, wanted);
      await session.settle();
      assert.deepEqual(session.inbox.items.filter(isAnswerTo(requestId)), []);
    },
  },
  {
    id: "cancel-only-one",
    section: CANCELLATION,
    says: "other calls of the session and of others are not cancelled with it",
    run: async (visit) => {
      const wanted = slowCall(visit, LASTS_MS);
      const [one, two] = await Promise.all([visit.start(), visit.start()]);
      const params = { ...wanted };
      const [cancelled, kept] = [one.nextId(), one.nextId()];
      await one.send({ id: cancelled, method: "tools/call", params });
      await one.send({ id: kept, method: "tools/call", params });
      // The same id, in another session.
      const namesake = two.request("tools/call", params, cancelled);
      await one.notify("notifications/cancelled", { requestId: cancelled });
      const { message } = await one.answer(kept, "tools/call");
      assert.ok(message.result, "the call that was kept has failed");
      assert.ok((await namesake).message.result, "the call of another session has failed");
    },
  },
  {
    id: "cancel-in-vain",
    section: `${CANCELLATION}#error-handling`,
    says: "a cancellation that is too late, or of a request that never was, is ignored",
    run: async (visit) => {
      const session = await visit.start();
      const requestId = session.nextId();
      await session.request("ping", {}, requestId);
      await session.notify("notifications/cancelled", { requestId });
      await session.notify("notifications/cancelled", { requestId: "never-was" });
      await session.settle();
      const answers = session.inbox.items.filter(({ message }) => message.method === undefined);
      // To initialize and to two pings.
      assert.equal(answers.length, 3);
    },
  },
];

export const tools: Scenario = { id: "tools", checks: calls };
export const calling: Scenario = { id: "calls", checks: [...progress, ...cancellation] };
