import type { Message, Params } from "../session.ts";
import {
  type Fault,
  claims,
  drops,
  isAnswer,
  isNotification,
  isRequest,
  lateProgress,
  named,
  results,
} from "./spoils.ts";

const VERSIONS: Fault[] = [
  {
    says: "knows versions of its own",
    spoil: results((result) =>
      "protocolVersion" in result ? { ...result, protocolVersion: "2023-01-01" } : result,
    ),
    noticed: ["version-2024-11-05", "version-later"],
  },
  {
    says: "agrees to any version",
    spoil: results((result) =>
      "protocolVersion" in result ? { ...result, protocolVersion: "1999-12-31" } : result,
    ),
    noticed: ["version-unknown"],
  },
  {
    says: "asks for roots at once",
    spoil: {
      down: (message) => {
        const isHello = message.result?.["serverInfo"] !== undefined;
        const ask: Message = { jsonrpc: "2.0", id: "early", method: "roots/list" };
        return isHello ? [message, ask] : [message];
      },
    },
    noticed: ["quiet-before-initialized"],
  },
];

const MESSAGES: Fault[] = [
  {
    says: "makes texts of ids in answers to pings",
    spoil: {
      down: (message) => [
        JSON.stringify(message.result) === "{}" ? { ...message, id: String(message.id) } : message,
      ],
    },
    noticed: ["id-number", "id-number-or-string", "id-big"],
  },
  {
    says: "keeps the first 100 characters of an id",
    spoil: {
      down: (message) => [
        typeof message.id === "string" ? { ...message, id: message.id.slice(0, 100) } : message,
      ],
    },
    noticed: ["id-string"],
  },
  {
    says: "answers twice",
    spoil: { down: (message) => (isAnswer(message) ? [message, message] : [message]) },
    noticed: ["answer-once", "cancel-in-vain"],
  },
  {
    says: "gives a result beside the error",
    spoil: { down: (message) => [message.error ? { ...message, result: {} } : message] },
    noticed: ["response-or-error"],
  },
  {
    says: "has an error of its own for everything",
    spoil: {
      down: (message) => [
        message.error ? { ...message, error: { ...message.error, code: -32_000 } } : message,
      ],
    },
    noticed: ["method-unknown", "tools-call-unknown"],
  },
  {
    says: "answers notifications",
    spoil: {
      up: (message, line) => {
        const error = { code: -32_600, message: "no id" };
        if (isNotification(message)) line.say({ jsonrpc: "2.0", id: null, error });
        return [message];
      },
    },
    noticed: ["notification-unanswered"],
  },
];

const TOOLS: Fault[] = [
  {
    says: "lists a tool twice",
    spoil: results((result) => {
      const tools = result["tools"] as unknown[] | undefined;
      return tools ? { ...result, tools: [...tools, tools[0]] } : result;
    }),
    noticed: ["tools-list"],
  },
  {
    says: "forgets the content of results",
    spoil: results((result) => ("content" in result ? { ...result, content: [] } : result)),
    noticed: ["tools-call", "tools-call-error", "elicitation-decline", "elicitation-cancel"],
  },
  {
    says: "keeps its notifications to itself",
    spoil: drops("down", isNotification),
    noticed: [
      "tools-list-changed",
      "prompts-list-changed",
      "progress-string-token",
      "progress-number-token",
      "logging-messages",
      "resources-updated",
    ],
  },
  {
    says: "reports progress after the answer",
    spoil: lateProgress(),
    noticed: ["progress-string-token", "progress-number-token"],
  },
  {
    says: "reports progress to all who call",
    spoil: {
      up: (message) => {
        if (message.method !== "tools/call") return [message];
        const _meta = { progressToken: "unasked", ...(message.params?.["_meta"] as Params) };
        return [{ ...message, params: { ...message.params, _meta } }];
      },
    },
    noticed: ["progress-unasked"],
  },
  {
    says: "does not cancel",
    spoil: drops("up", named("notifications/cancelled")),
    noticed: ["cancel"],
  },
  {
    says: "cancels what has the same id in other sessions",
    spoil: {
      up: (message, line, all) => {
        const others = all.filter((other) => other !== line);
        if (message.method === "notifications/cancelled")
          for (const other of others) other.ask(message);
        return [message];
      },
    },
    noticed: ["cancel-only-one"],
  },
];

const UTILITIES: Fault[] = [
  {
    says: "takes levels and keeps to none",
    spoil: claims("logging/setLevel", {}),
    noticed: ["logging-set-level-unknown"],
  },
  {
    says: "logs at any level",
    spoil: {
      up: (message) => [
        message.method === "logging/setLevel"
          ? { ...message, params: { level: "debug" } }
          : message,
      ],
    },
    noticed: ["logging-filtered", "logging-apart"],
  },
  {
    says: "says something when a level is set",
    spoil: claims("logging/setLevel", { ok: true }),
    noticed: ["logging-set-level"],
  },
];

const OFFERS: Fault[] = [
  {
    says: "lists resources by name",
    spoil: results((result) =>
      "resources" in result ? { resources: [{ uri: "no uri" }] } : result,
    ),
    noticed: ["resources-list", "resources-read"],
  },
  {
    says: "has no templates",
    spoil: claims("resources/templates/list", {}),
    noticed: ["resources-templates"],
  },
  {
    says: "reads resources that it has not",
    spoil: claims("resources/read", { contents: [] }),
    noticed: ["resources-read-unknown"],
  },
  {
    says: "has never heard of subscriptions",
    spoil: {
      up: (message) => [
        message.method === "resources/subscribe" ? { ...message, method: "no/such" } : message,
      ],
    },
    noticed: ["resources-subscribe"],
  },
  {
    says: "ends no subscription",
    spoil: claims("resources/unsubscribe", {}),
    noticed: ["resources-updated"],
  },
  {
    says: "lists a prompt twice",
    spoil: results((result) => {
      const prompts = result["prompts"] as unknown[] | undefined;
      return prompts ? { ...result, prompts: [...prompts, prompts[0]] } : result;
    }),
    noticed: ["prompts-list"],
  },
  {
    says: "has one thing to say to all prompts",
    spoil: claims("prompts/get", { messages: [{ role: "system" }] }),
    noticed: ["prompts-get", "prompts-get-arguments", "prompts-get-unknown"],
  },
  {
    says: "completes with what is no text",
    spoil: claims("completion/complete", { completion: { values: [{}] } }),
    noticed: ["completion"],
  },
];

const ASKED = ["sampling", "elicitation", "roots", "ping-from-server"];

const ASKING: Fault[] = [
  { says: "asks nothing", spoil: drops("down", isRequest), noticed: ASKED },
  { says: "does not hear the client's answers", spoil: drops("up", isAnswer), noticed: ASKED },
  {
    says: "takes a refusal for an answer",
    spoil: {
      up: (message) => {
        const { error, ...rest } = message;
        const content = { type: "text", text: "yes" };
        return error
          ? [{ ...rest, result: { role: "assistant", model: "m", content } }]
          : [message];
      },
    },
    noticed: ["sampling-refused"],
  },
  {
    says: "asks clients that cannot be asked",
    spoil: {
      up: (message) => {
        if (message.method !== "initialize") return [message];
        const capabilities = { sampling: {}, elicitation: {}, roots: {} };
        return [{ ...message, params: { ...message.params, capabilities } }];
      },
    },
    noticed: ["sampling-undeclared"],
  },
  {
    says: "asks for the roots once",
    spoil: {
      up: (message) => [
        isAnswer(message) && message.result?.["roots"]
          ? { ...message, result: { roots: [{ uri: "file:///one" }] } }
          : message,
      ],
    },
    noticed: ["roots", "roots-changed"],
  },
];

export const MESSAGE_FAULTS: readonly Fault[] = [
  ...VERSIONS,
  ...MESSAGES,
  ...TOOLS,
  ...UTILITIES,
  ...OFFERS,
  ...ASKING,
];
