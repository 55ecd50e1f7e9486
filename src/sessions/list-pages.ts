import { hash } from "node:crypto";
import type { ClientMessage } from "../mcp/client-body.ts";
import { locate, textAt } from "../mcp/json-span.ts";
import type { Span } from "../mcp/json-span.ts";
import { LongText } from "../mcp/long-text.ts";
import type { Text } from "../mcp/long-text.ts";

/** Where the items of each list stand in its result, and the capability that a server has it by. */
const LISTS = {
  "tools/list": { items: "tools", capability: "tools" },
  "prompts/list": { items: "prompts", capability: "prompts" },
  "resources/list": { items: "resources", capability: "resources" },
  "resources/templates/list": { items: "resourceTemplates", capability: "resources" },
} as const;

export type ListMethod = keyof typeof LISTS;
const METHODS = Object.keys(LISTS) as ListMethod[];

/** No list that a client can use is longer; one whose cursors lead back has no end. */
export const MAX_PAGES = 20;
export const MAX_LIST_BYTES = 1024 * 1024;

export const isListMethod = (method: string | undefined): method is ListMethod =>
  method !== undefined && Object.hasOwn(LISTS, method);

/** The lists that a server has which declares these. */
export const listsOf = (capabilities: Readonly<Record<string, unknown>>): ListMethod[] =>
  METHODS.filter((method) => (capabilities[LISTS[method].capability] ?? false) !== false);

/** One page of a list, as a server showed it. */
export interface ListPage {
  /** The result, as the server wrote it. */
  readonly result: Buffer;
  /** The same for two pages with the same items, byte for byte, which both are the last or are not. */
  readonly digest: string;
  /** The cursor to the next page, as JSON text. */
  readonly next: string | undefined;
}

/** Asks a server for something on the gateway's own behalf; `params` is JSON text of an object. Resolves with the whole answer, an error too. */
export type Ask = (method: string, params: string) => Promise<Text>;

/** The page in an answer; undefined where it is no result, or longer than a list may be. */
export function pageOf(method: ListMethod, answer: Text): ListPage | undefined {
  if (answer.length > MAX_LIST_BYTES) return undefined;
  const text = answer instanceof LongText ? Buffer.concat(answer.parts) : answer;
  const span = locate(text, ["result"]);
  if (span === undefined) return undefined;
  const result = text.subarray(span.start, span.end);
  const next = cursorAt(result, locate(result, ["nextCursor"]));
  const items = locate(result, [LISTS[method].items]);
  const shown = items === undefined ? result : result.subarray(items.start, items.end);
  const digest = `${hash("sha256", shown, "base64")}${next === undefined ? "" : "+"}`;
  return { result, digest, next };
}

/**
 * All pages of a list. Undefined where it is longer than 20 pages or so many bytes, or the server
 * answers with something else; rejects as `ask` does.
 */
export async function allPages(
  ask: Ask,
  method: ListMethod,
  mostBytes = MAX_LIST_BYTES,
): Promise<readonly ListPage[] | undefined> {
  const pages: ListPage[] = [];
  let bytes = 0;
  let params = "{}";
  while (pages.length < MAX_PAGES) {
    const answer = await ask(method, params);
    bytes += answer.length;
    const page = bytes > mostBytes ? undefined : pageOf(method, answer);
    if (page === undefined) return undefined;
    pages.push(page);
    if (page.next === undefined) return pages;
    params = `{"cursor":${page.next}}`;
  }
  return undefined;
}

/** The cursor that a request names, as JSON text. */
export const cursorIn = (request: ClientMessage): string | undefined =>
  cursorAt(request.raw, request.find(["params", "cursor"]));

/** Some say that there is none by an empty string or by null. */
function cursorAt(json: Buffer, span: Span | undefined): string | undefined {
  const text = span && textAt(json, span);
  return text === undefined || text === '""' || !text.startsWith('"') ? undefined : text;
}
