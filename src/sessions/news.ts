import type { Live } from "../instances/supervisor.ts";
import { notificationText } from "../mcp/messages.ts";
import type { Attachment } from "./attachment.ts";
import type { Front } from "./front.ts";
import { allPages } from "./list-pages.ts";
import type { ListMethod, ListPage } from "./list-pages.ts";
import type { SessionMemory } from "./session-memory.ts";

const CHANGED: Readonly<Record<ListMethod, string>> = {
  "tools/list": "notifications/tools/list_changed",
  "prompts/list": "notifications/prompts/list_changed",
  "resources/list": "notifications/resources/list_changed",
  "resources/templates/list": "notifications/resources/list_changed",
};

/** What a client is told (JSON text) that may have missed anything: each list that it was shown may be another one, and each resource that it subscribed to. */
export function allNews({ lists, subscriptions }: SessionMemory): string[] {
  const changed = new Set(lists.methods.map((method) => CHANGED[method]));
  return [
    ...Array.from(changed, (method) => notificationText(method)),
    ...Array.from(subscriptions.keys(), updatedText),
  ];
}

const updatedText = (uri: string): string =>
  notificationText("notifications/resources/updated", `{"uri":${uri}}`);

type Pages = readonly ListPage[] | undefined;

/** Of children over stdio, which show all their sessions the same: what each generation was asked already. */
const known = new WeakMap<Live, Map<ListMethod, Promise<Pages>>>();

/**
 * Tells the client of a session what it may have missed between two generations: a list that is
 * another one now than it was shown, and, where `mayHaveMissed`, each resource that it subscribed to.
 */
export async function tellNews(
  at: Attachment,
  memory: SessionMemory,
  front: Front,
  mayHaveMissed: boolean,
): Promise<void> {
  const tell = (text: string): void => front.onMessage(Buffer.from(text), undefined);
  if (mayHaveMissed) for (const uri of memory.subscriptions.keys()) tell(updatedText(uri));
  const told = new Set<string>();
  for (const method of memory.lists.methods) {
    if (told.has(CHANGED[method]) || !memory.lists.differs(method, await pagesOf(at, method)))
      continue;
    if (at.isOver) return;
    told.add(CHANGED[method]);
    tell(notificationText(CHANGED[method]));
  }
}

function pagesOf(at: Attachment, method: ListMethod): Promise<Pages> {
  const ask = (): Promise<Pages> => allPages((name, params) => at.ask(name, params), method);
  if (at.live.target.transport !== "stdio") return ask();
  const ofLive = known.get(at.live) ?? new Map<ListMethod, Promise<Pages>>();
  known.set(at.live, ofLive);
  const asked = ofLive.get(method) ?? ask();
  ofLive.set(method, asked);
  // Whoever asks after one that failed asks anew.
  asked.catch(() => ofLive.delete(method));
  return asked;
}
