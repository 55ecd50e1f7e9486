import assert from "node:assert/strict";
import type { Check, Scenario, Visit } from "../check.ts";
import { type Hello, type Params, RpcError, type Session } from "../session.ts";
import { call, callFor, textOf, type IsolationOptions } from "../wishes.ts";

const SAMPLING = "2024-11-05/client/sampling";
const ROOTS = "2024-11-05/client/roots";
const ELICITATION = "2025-06-18/client/elicitation";

const says = (text: string) => ({
  role: "assistant",
  model: "a-model",
  stopReason: "endTurn",
  content: { type: "text", text },
});

const sampler = (answer: (params: Params) => Params): Hello => ({
  capabilities: { sampling: {} },
  answers: { "sampling/createMessage": answer },
});

const elicitee = (answer: Params): Hello => ({
  version: "2025-06-18",
  capabilities: { elicitation: {} },
  answers: { "elicitation/create": () => answer },
});

const rooted = (...uris: string[]): Hello => ({
  capabilities: { roots: { listChanged: true } },
  answers: { "roots/list": () => ({ roots: uris.map((uri) => ({ uri, name: "a root" })) }) },
});

interface Asked {
  session: Session;
  /** The parameters of the server's request. */
  asked: Params;
  /** What the tool made of the answer. */
  told: string;
}

/** Calls the tool that makes the server ask, as a client that answers. */
async function beAsked(
  visit: Visit,
  wish: IsolationOptions,
  method: string,
  hello: Hello,
): Promise<Asked> {
  const wanted = callFor(visit, wish);
  const session = await visit.start(hello);
  const told = textOf(await call(session, wanted));
  const [request] = session.requests(method);
  assert.ok(request, `no ${method} reached the client`);
  assert.ok(
    session.answered.every((status) => status >= 200 && status < 300),
    `the client's answer was answered with ${session.answered.join()}`,
  );
  return { session, asked: request.params ?? {}, told };
}

/** The call fails, in whichever way, and the session goes on. */
async function fails(session: Session, wanted: { name: string; arguments: Params }): Promise<void> {
  const { message } = await session.request("tools/call", { ...wanted });
  const isRefused = message.error !== undefined || message.result?.["isError"] === true;
  assert.ok(isRefused, JSON.stringify(message.result));
  await session.settle();
}

const sampling: Check[] = [
  {
    id: "sampling",
    section: `${SAMPLING}#creating-messages`,
    says: "a request for a completion reaches the client, and its answer the tool",
    run: async (visit) => {
      const { asked, told } = await beAsked(
        visit,
        "sampling",
        "sampling/createMessage",
        sampler(() => says("As you say, Grüße.")),
      );
      assert.ok(Array.isArray(asked["messages"]), "no messages");
      assert.equal(typeof asked["maxTokens"], "number");
      assert.match(told, /As you say, Grüße\./);
    },
  },
  {
    id: "sampling-refused",
    section: `${SAMPLING}#error-handling`,
    says: "a client that refuses ends the call with an error",
    run: async (visit) => {
      const wanted = callFor(visit, "sampling");
      const session = await visit.start(
        sampler(() => {
          throw new RpcError(-1, "User rejected sampling request");
        }),
      );
      await fails(session, wanted);
    },
  },
  {
    id: "sampling-undeclared",
    section: `${SAMPLING}#capabilities`,
    says: "a client without sampling is not asked for it",
    run: async (visit) => {
      const wanted = callFor(visit, "sampling");
      const session = await visit.start();
      await fails(session, wanted);
      assert.deepEqual(session.requests("sampling/createMessage"), []);
    },
  },
  {
    id: "sampling-apart",
    section: `${SAMPLING}#creating-messages`,
    says: "sessions that are asked at the same time answer for themselves",
    run: async (visit) => {
      const names = ["Ada", "Bob", "Eve"];
      const told = await Promise.all(
        names.map(async (name) => {
          const hello = sampler(() => says(`I am ${name}.`));
          return (await beAsked(visit, "sampling", "sampling/createMessage", hello)).told;
        }),
      );
      for (const [at, name] of names.entries()) assert.match(told[at]!, new RegExp(`I am ${name}`));
    },
  },
];

const elicitation: Check[] = [
  {
    id: "elicitation",
    section: `${ELICITATION}#creating-elicitation-requests`,
    says: "a form reaches the client, and what was filled in the tool",
    run: async (visit) => {
      const content = { username: "ada", email: "ada@example.org", name: "ada", check: true };
      const { asked, told } = await beAsked(
        visit,
        "elicitation",
        "elicitation/create",
        elicitee({ action: "accept", content }),
      );
      assert.equal(typeof asked["message"], "string");
      assert.equal((asked["requestedSchema"] as Params)["type"], "object");
      assert.match(told, /ada/);
    },
  },
  ...(["decline", "cancel"] as const).map((action) => ({
    id: `elicitation-${action}`,
    section: `${ELICITATION}#response-actions`,
    says: `the tool is told when the form is answered with ${action}`,
    run: async (visit: Visit) => {
      const hello = elicitee({ action });
      const { told } = await beAsked(visit, "elicitation", "elicitation/create", hello);
      assert.match(told, new RegExp(action, "i"));
    },
  })),
];

const roots: Check[] = [
  {
    id: "roots",
    section: `${ROOTS}#listing-roots`,
    says: "a request for the roots reaches the client, and its answer the tool",
    run: async (visit) => {
      const uri = "file:///home/ada/project";
      const { told } = await beAsked(visit, "roots", "roots/list", rooted(uri));
      assert.match(told, /\/home\/ada\/project/);
    },
  },
  {
    id: "roots-changed",
    section: `${ROOTS}#root-list-changes`,
    says: "roots that change are the ones that the server gets when it asks again",
    run: async (visit) => {
      const { session } = await beAsked(visit, "roots", "roots/list", rooted("file:///one"));
      session.answers = rooted("file:///one", "file:///two").answers ?? {};
      await session.notify("notifications/roots/list_changed");
      const told = textOf(await call(session, callFor(visit, "roots")));
      assert.match(told, /\/two/);
    },
  },
];

export const asking: Scenario = { id: "asking", checks: [...sampling, ...elicitation, ...roots] };
