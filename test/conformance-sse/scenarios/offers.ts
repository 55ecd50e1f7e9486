import assert from "node:assert/strict";
import { type Check, type Scenario, Skip, type Visit } from "../check.ts";
import type { Params, Session } from "../session.ts";
import { call, callFor } from "../wishes.ts";

const RESOURCES = "2024-11-05/server/resources";
const PROMPTS = "2024-11-05/server/prompts";

interface Resource {
  uri: string;
}

interface Prompt {
  name: string;
  arguments?: { name: string; required?: boolean }[];
}

async function firstResource(visit: Visit, session: Session): Promise<string> {
  visit.needs("resources");
  const { resources } = (await session.result("resources/list")) as { resources: Resource[] };
  if (!resources[0]) throw new Skip("the server has no resources");
  return resources[0].uri;
}

async function promptThat(session: Session, suits: (prompt: Prompt) => boolean): Promise<Prompt> {
  const { prompts } = (await session.result("prompts/list")) as { prompts: Prompt[] };
  const found = prompts.find((prompt) => suits(prompt));
  if (!found) throw new Skip("the server has no such prompt");
  return found;
}

const takesNothing = (prompt: Prompt) => (prompt.arguments ?? []).length === 0;
const takesSomething = (prompt: Prompt) => (prompt.arguments ?? []).length > 0;

const resources: Check[] = [
  {
    id: "resources-list",
    section: `${RESOURCES}#listing-resources`,
    says: "resources/list names every resource once",
    run: async (visit) => {
      visit.needs("resources");
      const session = await visit.start();
      const { resources: listed } = (await session.result("resources/list")) as {
        resources: Resource[];
      };
      const uris = listed.map(({ uri }) => uri);
      assert.equal(new Set(uris).size, uris.length);
      for (const uri of uris) assert.ok(URL.canParse(uri), uri);
    },
  },
  {
    id: "resources-templates",
    section: `${RESOURCES}#resource-templates`,
    says: "resources/templates/list is answered with a list",
    run: async (visit) => {
      visit.needs("resources");
      const session = await visit.start();
      const { resourceTemplates } = await session.result("resources/templates/list");
      assert.ok(Array.isArray(resourceTemplates), "no list");
    },
  },
  {
    id: "resources-read",
    section: `${RESOURCES}#reading-resources`,
    says: "a resource that is listed can be read",
    run: async (visit) => {
      const session = await visit.start();
      const uri = await firstResource(visit, session);
      const { contents } = await session.result("resources/read", { uri });
      const [first] = contents as Params[];
      assert.equal(first?.["uri"], uri);
      assert.ok("text" in first || "blob" in first, "neither text nor blob");
    },
  },
  {
    id: "resources-read-unknown",
    section: `${RESOURCES}#error-handling`,
    says: "a resource that is not there is answered with an error",
    run: async (visit) => {
      visit.needs("resources");
      const session = await visit.start();
      const { code } = await session.refusal("resources/read", { uri: "test://no/such/resource" });
      assert.ok(Number.isInteger(code), `the code is ${code}`);
    },
  },
  {
    id: "resources-subscribe",
    section: `${RESOURCES}#subscriptions`,
    says: "a resource can be subscribed to and unsubscribed from",
    run: async (visit) => {
      visit.needs("resources", "subscribe");
      const session = await visit.start();
      const uri = await firstResource(visit, session);
      await session.result("resources/subscribe", { uri });
      await session.result("resources/unsubscribe", { uri });
    },
  },
  {
    id: "resources-updated",
    section: `${RESOURCES}#subscriptions`,
    says: "who has subscribed is told of a change, and not any more after that",
    run: async (visit) => {
      visit.needs("resources", "subscribe");
      const session = await visit.start();
      const uri = await firstResource(visit, session);
      const change = { ...callFor(visit, "resources/updated"), arguments: { uri } };
      await session.result("resources/subscribe", { uri });
      await call(session, change);
      await session.notification("notifications/resources/updated", (told) => told["uri"] === uri);
      await session.result("resources/unsubscribe", { uri });
      await call(session, change);
      await session.settle();
      assert.equal(session.notifications("notifications/resources/updated").length, 1);
    },
  },
  {
    id: "resources-updated-apart",
    section: `${RESOURCES}#subscriptions`,
    says: "who has not subscribed is not told",
    run: async (visit) => {
      visit.needs("resources", "subscribe");
      const [watcher, other] = await Promise.all([visit.start(), visit.start()]);
      const uri = await firstResource(visit, watcher);
      const change = { ...callFor(visit, "resources/updated"), arguments: { uri } };
      await watcher.result("resources/subscribe", { uri });
      await call(watcher, change);
      await watcher.notification("notifications/resources/updated");
      await other.settle();
      assert.deepEqual(other.notifications("notifications/resources/updated"), []);
    },
  },
];

const prompts: Check[] = [
  {
    id: "prompts-list",
    section: `${PROMPTS}#listing-prompts`,
    says: "prompts/list names every prompt once",
    run: async (visit) => {
      visit.needs("prompts");
      const session = await visit.start();
      const { prompts: listed } = (await session.result("prompts/list")) as { prompts: Prompt[] };
      assert.equal(new Set(listed.map(({ name }) => name)).size, listed.length);
    },
  },
  {
    id: "prompts-get",
    section: `${PROMPTS}#getting-a-prompt`,
    says: "a prompt without arguments answers with messages",
    run: async (visit) => {
      visit.needs("prompts");
      const session = await visit.start();
      const { name } = await promptThat(session, takesNothing);
      const { messages } = await session.result("prompts/get", { name });
      const [first] = messages as Params[];
      assert.match(String(first?.["role"]), /^(user|assistant)$/);
      assert.equal(typeof first?.["content"], "object");
    },
  },
  {
    id: "prompts-get-arguments",
    section: `${PROMPTS}#getting-a-prompt`,
    says: "a prompt gets its arguments",
    run: async (visit) => {
      visit.needs("prompts");
      const session = await visit.start();
      const prompt = await promptThat(session, takesSomething);
      const given = prompt.arguments!.map(({ name }) => [name, `test://value/${name}`]);
      const result = await session.result("prompts/get", {
        name: prompt.name,
        arguments: Object.fromEntries(given) as Params,
      });
      const written = JSON.stringify(result["messages"]);
      assert.ok(
        given.some(([, value]) => written.includes(value!)),
        written,
      );
    },
  },
  {
    id: "prompts-get-unknown",
    section: `${PROMPTS}#error-handling`,
    says: "a prompt that is not there is answered with an error",
    run: async (visit) => {
      visit.needs("prompts");
      const session = await visit.start();
      const { code } = await session.refusal("prompts/get", { name: "no_such_prompt" });
      assert.ok(Number.isInteger(code), `the code is ${code}`);
    },
  },
  {
    id: "prompts-list-changed",
    section: `${PROMPTS}#list-changed-notification`,
    says: "a server whose prompts change tells its clients",
    run: async (visit) => {
      visit.needs("prompts", "listChanged");
      const wanted = callFor(visit, "prompts/list_changed");
      const session = await visit.start();
      await call(session, wanted);
      await session.notification("notifications/prompts/list_changed");
    },
  },
  {
    id: "completion",
    section: "2024-11-05/server/utilities/completion",
    says: "an argument of a prompt is completed with up to 100 values",
    run: async (visit) => {
      // The capability came with 2025-03-26; a server that has it without saying so is not asked.
      visit.needs("completions");
      visit.needs("prompts");
      const session = await visit.start();
      const prompt = await promptThat(session, takesSomething);
      const { completion } = await session.result("completion/complete", {
        ref: { type: "ref/prompt", name: prompt.name },
        argument: { name: prompt.arguments![0]!.name, value: "p" },
      });
      const { values } = completion as { values: unknown[] };
      assert.ok(values.length <= 100, `${values.length} values`);
      for (const value of values) assert.equal(typeof value, "string");
    },
  },
];

export const resourcing: Scenario = { id: "resources", checks: resources };
export const prompting: Scenario = { id: "prompts", checks: prompts };
