import { randomUUID } from "node:crypto";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  type JSONRPCMessage,
  type JSONRPCNotification,
  type JSONRPCRequest,
  ListRootsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { until } from "./until.ts";

type Notification = JSONRPCNotification["params"];

/**
 * One client of server-everything. What arrives is read off the transport, before the SDK sees it:
 * the SDK drops progress that comes in one read with the answer, so what its callbacks report
 * depends on how bytes were cut on the way.
 */
class Visitor {
  readonly received: JSONRPCMessage[] = [];
  readonly client = new Client(
    { name: "flows", version: "1.0.0" },
    { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } } },
  );
  roots = [{ uri: "file:///home/one", name: "one" }];

  constructor() {
    this.client.setRequestHandler(CreateMessageRequestSchema, () => ({
      role: "assistant",
      model: "a-model",
      stopReason: "endTurn",
      content: { type: "text", text: "As you say." },
    }));
    this.client.setRequestHandler(ElicitRequestSchema, () => ({
      action: "accept",
      content: { name: "Ada", check: true, integer: 7 },
    }));
    this.client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: this.roots }));
  }

  async connect(transport: Transport): Promise<void> {
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- a transport is no EventTarget
    transport.onmessage = (message) => void this.received.push(message);
    await this.client.connect(transport);
  }

  notifications(method: string): Notification[] {
    return this.received
      .filter((message) => "method" in message && !("id" in message) && message.method === method)
      .map((message) => (message as JSONRPCNotification).params);
  }

  requests(method: string): JSONRPCRequest["params"][] {
    return this.received
      .filter((message) => "method" in message && "id" in message && message.method === method)
      .map((message) => (message as JSONRPCRequest).params);
  }

  /** A third of a second after `initialized` the server asks for the roots: then it has a way to speak up. */
  async heard(): Promise<void> {
    await until(() => this.requests("roots/list").length > 0, "the server asks for the roots");
  }

  async logged(pattern: RegExp): Promise<void> {
    const isThere = () =>
      this.notifications("notifications/message").some((log) =>
        pattern.test(String(log?.["data"])),
      );
    await until(isThere, `a log message like ${String(pattern)}`);
  }

  call(name: string, args: Record<string, unknown> = {}) {
    return this.client.callTool({ name, arguments: args });
  }
}

const SIMULATED = /^(\w+)[- ]level[- ]message/;

const FLOWS = {
  ping: (visitor: Visitor) => visitor.client.ping(),

  list_changed: async (visitor: Visitor) => {
    await visitor.heard();
    const { content } = await visitor.call("gzip-file-as-resource", {
      // One of two files of the same name replaces the other, whichever session it belongs to.
      name: `${randomUUID()}.gz`,
      data: "data:text/plain,flow",
    });
    const changed = () => visitor.notifications("notifications/resources/list_changed");
    await until(() => changed().length > 0, "the list of resources changed");
    const { tools } = await visitor.client.listTools();
    const { resources } = await visitor.client.listResources();
    return {
      content,
      resourcesChanged: changed(),
      toolsChanged: visitor.notifications("notifications/tools/list_changed").length,
      tools: tools.map((tool) => tool.name),
      resources: resources.map((resource) => resource.uri),
    };
  },

  progress: async (visitor: Visitor) => {
    const args = { name: "trigger-long-running-operation", arguments: { duration: 0.2, steps: 4 } };
    const { content } = await visitor.client.callTool(args, undefined, { onprogress: () => {} });
    return { content, progress: visitor.notifications("notifications/progress") };
  },

  sampling: async (visitor: Visitor) => {
    const { content } = await visitor.call("trigger-sampling-request", { prompt: "Say so." });
    return { content, asked: visitor.requests("sampling/createMessage") };
  },

  elicitation: async (visitor: Visitor) => {
    const { content } = await visitor.call("trigger-elicitation-request");
    return { content, asked: visitor.requests("elicitation/create") };
  },

  roots: async (visitor: Visitor) => {
    await visitor.heard();
    await visitor.logged(/Roots updated: 1/);
    const before = await visitor.call("get-roots-list");
    visitor.roots = [...visitor.roots, { uri: "file:///home/two", name: "two" }];
    await visitor.client.sendRootsListChanged();
    await visitor.logged(/Roots updated: 2/);
    const after = await visitor.call("get-roots-list");
    return {
      before: before.content,
      after: after.content,
      asked: visitor.requests("roots/list").length,
    };
  },

  cancellation: async (visitor: Visitor) => {
    const leave = new AbortController();
    const call = (duration: number, options: { signal?: AbortSignal; onprogress?: () => void }) => {
      const args = { duration, steps: 2 };
      return visitor.client.callTool(
        { name: "trigger-long-running-operation", arguments: args },
        undefined,
        options,
      );
    };
    const cancelled = call(1, {
      signal: leave.signal,
      onprogress: () => leave.abort("enough"),
    });
    const failure = await cancelled.then(
      () => "none",
      (error: unknown) => String(error),
    );
    // The server works on regardless: a second call that takes as long again outlasts the first.
    const outlasting = await call(1, {});
    return {
      failure,
      outlasting: outlasting.content,
      answers: visitor.received.filter((message) => "result" in message).length,
    };
  },

  logging: async (visitor: Visitor) => {
    const { client } = visitor;
    const watch = { uri: "demo://resource/dynamic/text/1" };
    await visitor.heard();
    await client.setLoggingLevel("debug");
    await visitor.call("toggle-simulated-logging");
    await visitor.logged(SIMULATED);
    await visitor.call("toggle-simulated-logging");
    await client.setLoggingLevel("error");
    await client.unsubscribeResource(watch);
    await client.setLoggingLevel("debug");
    await client.subscribeResource(watch);
    await visitor.logged(/Received Subscribe/);
    const logs = visitor.notifications("notifications/message");
    await client.unsubscribeResource(watch);
    return logs
      .filter((log) => !/Roots updated/.test(String(log?.["data"])))
      .map((log) => {
        // The level of simulated logging is drawn by lot; that it is the one the text names is not.
        const named = SIMULATED.exec(String(log?.["data"]))?.[1];
        return named?.toLowerCase() === log?.["level"] ? "a simulated message" : log;
      });
  },

  "resources/updated": async (visitor: Visitor) => {
    const { client } = visitor;
    const watched = [1, 2].map((nth) => ({ uri: `demo://resource/dynamic/text/${nth}` }));
    const updates = () => visitor.notifications("notifications/resources/updated");
    await visitor.heard();
    for (const watch of watched) await client.subscribeResource(watch);
    await visitor.call("toggle-subscriber-updates");
    await until(() => updates().length >= watched.length, "the resources were updated");
    await visitor.call("toggle-subscriber-updates");
    for (const watch of watched) await client.unsubscribeResource(watch);
    return updates();
  },
};

export type FlowName = keyof typeof FLOWS;

/** The nine flows, in the order in which they run. */
export const FLOW_NAMES = Object.keys(FLOWS) as FlowName[];

/** The child's texts name its session, and a file is named at random. */
function normalise(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value).replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<id>"),
  );
}

/**
 * Plays the nine flows against server-everything, each with a session of its own, one after the
 * other, and returns what each brought: two runs over the same transport are equal whatever lies
 * between client and server, as long as it changes nothing.
 */
export async function runFlows(
  openTransport: () => Transport,
  names: readonly FlowName[] = FLOW_NAMES,
): Promise<Partial<Record<FlowName, unknown>>> {
  const results: Partial<Record<FlowName, unknown>> = {};
  for (const name of names) {
    const visitor = new Visitor();
    const transport = openTransport();
    await visitor.connect(transport);
    try {
      results[name] = normalise(await FLOWS[name](visitor));
    } catch (error) {
      throw new Error(`flow ${name}`, { cause: error });
    } finally {
      if (transport instanceof StreamableHTTPClientTransport) await transport.terminateSession();
      await visitor.client.close();
    }
  }
  return results;
}
