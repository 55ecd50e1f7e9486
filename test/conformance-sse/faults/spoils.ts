import type { Message, Params } from "../session.ts";
import type { Line, Spoil } from "./spoiler.ts";

export interface Fault {
  /** What the server does. */
  says: string;
  spoil: Spoil;
  /** The checks that have to notice it. */
  noticed: string[];
}

export const isRequest = ({ method, id }: Message) => method !== undefined && id !== undefined;
export const isNotification = ({ method, id }: Message) => method !== undefined && id === undefined;
export const isAnswer = ({ method }: Message) => method === undefined;

/** Changes results on their way to the client. */
export const results = (change: (result: Params) => Params): Spoil => ({
  down: (message) =>
    message.result ? [{ ...message, result: change(message.result) }] : [message],
});

/** Does not let these through. */
export const drops = (way: "up" | "down", isDropped: (message: Message) => boolean): Spoil => ({
  [way]: (message: Message) => (isDropped(message) ? [] : [message]),
});

/** Lets these through to all clients. */
export const toAll = (isMeant: (message: Message) => boolean): Spoil => ({
  down: (message, line, all) => {
    const others = isMeant(message) ? all.filter((other) => other !== line) : [];
    for (const other of others) other.say(message);
    return [message];
  },
});

export const named =
  (...methods: string[]) =>
  ({ method = "" }: Message) =>
    methods.includes(method);

/** Answers requests of these names with a result of its own making. */
export const claims = (method: string, result: Params): Spoil => ({
  up: (message, line) => {
    if (message.method !== method) return [message];
    line.say({ jsonrpc: "2.0", id: message.id, result });
    return [];
  },
});

export const answersWith = (status: number, isMeant: (body: string) => boolean): Spoil => ({
  asked: (req, body) =>
    req.method === "POST" && isMeant(Buffer.concat(body).toString()) ? { status } : "pass",
});

export const onStreamUrl = (method: string, status: number): Spoil => ({
  asked: (req) => (req.method === method && req.url === "/sse" ? { status } : "pass"),
});

export function sameEndpoint(): Spoil {
  let first: string | undefined;
  return {
    written: (text) => (text.startsWith("event: endpoint") ? (first ??= text) : text),
  };
}

export function endsAfter(ms: number): Spoil {
  return {
    written: (text, line) => {
      if (text.startsWith("event: endpoint")) setTimeout(line.end, ms);
      return text;
    },
  };
}

/** Progress comes after the answer. */
export function lateProgress(): Spoil {
  const held = new Map<Line, Message[]>();
  return {
    down: (message, line) => {
      if (message.method === "notifications/progress") {
        held.set(line, [...(held.get(line) ?? []), message]);
        return [];
      }
      const late = held.get(line) ?? [];
      held.delete(line);
      return [message, ...late];
    },
  };
}
