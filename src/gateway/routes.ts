import { SLUG_PATTERN } from "../platform/slug.ts";

export type Leaf = "sse" | "messages" | "mcp";

export interface Route {
  user: string;
  /** Undefined: the default server. */
  server: string | undefined;
  leaf: Leaf;
}

/** The path prefix of the public URL, without the last slash; empty for most. */
export function prefixOf(publicUrl: URL): string {
  return publicUrl.pathname.replace(/\/+$/, "");
}

/** Paths behind the public prefix, or without it; what `path` says is the whole, up to the query. */
function grammarOf(prefix: string, path: string): RegExp {
  const escaped = prefix.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^(?:${escaped})?/${path}(?:\\?|$)`);
}

/**
 * Reads the one grammar that `/u/` has, on the raw path: no decoding, no dot segments, no
 * backslashes, no absolute form. What a decoder would turn into another user's path is not a path
 * here. The public prefix may be there or not, because a proxy in front may strip it or not.
 */
export function createRouter(prefix: string): (url: string) => Route | undefined {
  const server = `(?:/(${SLUG_PATTERN}))?`;
  const grammar = grammarOf(prefix, `u/(${SLUG_PATTERN})${server}/(sse|messages|mcp)/?`);
  return (url) => {
    const match = grammar.exec(url);
    if (match === null) return undefined;
    return { user: match[1]!, server: match[2], leaf: match[3] as Leaf };
  };
}

/** Reads the path under which a user leaves a token, in the same grammar; the user's name, if it is one. */
export function createTokenPath(prefix: string): (url: string) => string | undefined {
  const grammar = grammarOf(prefix, `u/(${SLUG_PATTERN})/token`);
  return (url) => grammar.exec(url)?.[1];
}

/** A path of a server's own. */
export interface OwnRoute {
  user: string;
  server: string;
  /** Raw, as the server is asked for it. */
  path: string;
}

/** Reads the paths below which a server's own are, up to where those begin. */
export function createOwnRouter(prefix: string): (url: string) => OwnRoute | undefined {
  const grammar = grammarOf(prefix, `u/(${SLUG_PATTERN})/(${SLUG_PATTERN})/-(/[^?#]*)`);
  return (url) => {
    const [, user, server, path] = grammar.exec(url) ?? [];
    return user === undefined ? undefined : { user, server: server!, path: path! };
  };
}

/** What browsers ask for: a user's page, or one that is nobody's. */
export type WebRoute =
  | { readonly kind: "connect"; readonly user: string; readonly server: string }
  | { readonly kind: "callback" }
  | { readonly kind: "invite" }
  | { readonly kind: "asset"; readonly name: string };

/** Reads the paths of pages and of what they are made of, in the same grammar. */
export function createWebRouter(prefix: string): (url: string) => WebRoute | undefined {
  const connect = `u/(${SLUG_PATTERN})/connect/(${SLUG_PATTERN})/?`;
  const others = "(connect/callback|invite)|web/((?:[a-z]+/)?[a-z][a-z-]*\\.[a-z]+)";
  const grammar = grammarOf(prefix, `(?:${connect}|${others})`);
  return (url) => {
    const [, user, server, page, name] = grammar.exec(url) ?? [];
    if (user !== undefined) return { kind: "connect", user, server: server! };
    if (page !== undefined) return { kind: page === "invite" ? "invite" : "callback" };
    return name === undefined ? undefined : { kind: "asset", name };
  };
}

/** What a user's own page asks for: itself, or something of the user's, which may be named. */
export type MeRoute =
  | { readonly kind: "page" }
  | { readonly kind: "api"; readonly name: string; readonly named: string };

/** Reads the paths of the user's own page, in the same grammar. */
export function createMeRouter(prefix: string): (url: string) => MeRoute | undefined {
  const grammar = grammarOf(prefix, "me(?:/api/([a-z-]+)(?:/([\\w-]{1,100}))?|/?)");
  return (url) => {
    const match = grammar.exec(url);
    if (match === null) return undefined;
    const [, name, named = ""] = match;
    return name === undefined ? { kind: "page" } : { kind: "api", name, named };
  };
}

/** The URL as it is without the public prefix, which a proxy in front may strip or not. */
export const withoutPrefix = (url: string, prefix: string): string =>
  prefix !== "" && url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : url;

/** Where tools are called without MCP. */
export type ToolRoute = "call" | "list" | "servers";

const TOOL_PATHS: Readonly<Record<string, ToolRoute>> = {
  "/tools": "call",
  "/tools/list": "list",
  "/servers": "servers",
};

/** Reads the paths under which tools are called without MCP, raw as those below `/u/` are. */
export function toolRouteOf(url: string, prefix: string): ToolRoute | undefined {
  const [path = ""] = withoutPrefix(url, prefix).split("?", 1);
  const name = path.endsWith("/") ? path.slice(0, -1) : path;
  return Object.hasOwn(TOOL_PATHS, name) ? TOOL_PATHS[name] : undefined;
}

/** The raw query without its question mark, empty when there is none. */
export function queryOf(url: string): string {
  const at = url.indexOf("?");
  return at === -1 ? "" : url.slice(at + 1);
}

/** Every raw value of a query parameter, in order. */
export function valuesOf(query: string, name: string): string[] {
  const values: string[] = [];
  for (let from = 0; from < query.length;) {
    const end = query.indexOf("&", from);
    const to = end === -1 ? query.length : end;
    if (query.startsWith(name, from) && query[from + name.length] === "=")
      values.push(query.slice(from + name.length + 1, to));
    from = to + 1;
  }
  return values;
}
