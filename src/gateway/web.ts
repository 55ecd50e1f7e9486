import { orderRow } from "../audit/audit.ts";
import type { Audit } from "../audit/audit.ts";
import type { Principal, Registry } from "../auth/registry.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { Edge } from "../http/edge.ts";
import { sendText } from "../http/error-response.ts";
import { readBody, requireJson } from "../http/read-body.ts";
import type { SafeResponse } from "../http/safe-response.ts";
import type { BodyRequest } from "../platform/body-request.ts";
import type { Connected, NotConnected } from "../tokens/connects.ts";
import type { Tokens } from "../tokens/tokens.ts";
import type { AppPages } from "../web/app-pages.ts";
import type { Pages } from "../web/pages.ts";
import { snippetsFor, wantedOf } from "../web/snippets.ts";
import { connectUrl, mePageUrl, personalUrls } from "../web/urls.ts";
import { CONNECT_COOKIE, beginConnect, connectCookie } from "./begin-connect.ts";
import { cookieIn } from "./cookies.ts";
import { queryOf } from "./routes.ts";
import type { WebRoute } from "./routes.ts";
import type { Trace } from "./trace.ts";

const MAX_BODY_BYTES = 4096;

export interface WebParts {
  config: Pick<Config, "defaultServer" | "pages">;
  catalog: Catalog;
  tokens: Pick<Tokens, "connects">;
  registry: Pick<Registry, "invites">;
  audit: Pick<Audit, "add">;
  edge: Edge;
  pages: Pages;
  apps: AppPages;
  /** With the real port, once that is known. */
  publicUrl: URL;
  identify: (req: BodyRequest) => Principal | Promise<Principal>;
}

export interface WebRequest {
  req: BodyRequest;
  res: SafeResponse;
  trace: Trace;
}

/** Pages, which are nobody's and the same for everybody, and what they post. */
export class Web {
  readonly #parts: WebParts;

  constructor(parts: WebParts) {
    this.#parts = parts;
  }

  /** Answers, or rejects with why not. */
  async serve(request: WebRequest, route: WebRoute): Promise<void> {
    const { req, res } = request;
    const { pages, apps } = this.#parts;
    const isReading = req.method === "GET" || req.method === "HEAD";
    if (route.kind === "connect") {
      if (!isReading) return await this.#begin(request, route);
      const { user, server } = route;
      const url = connectUrl(this.#parts.publicUrl, user, server);
      return pages.send(req, res, "connect", { values: { user, server, url } });
    }
    if (route.kind === "invite")
      return isReading ? pages.send(req, res, "invite") : await this.#redeem(request);
    // A HEAD would use up what the GET behind it needs.
    if (route.kind === "callback")
      return req.method === "GET" ? await this.#finish(request) : refuseMethod(res, "GET");
    if (!isReading) return refuseMethod(res, "GET, HEAD");
    if (!pages.sendAsset(req, res, route.name) && !apps.sendFile(req, res, route.name))
      throw new SupervisorError("NOT_FOUND", "there is nothing at this path");
  }

  /** The page of the user's server has the user's key: says where the browser goes with it. */
  async #begin(
    { req, res, trace }: WebRequest,
    { user, server }: Extract<WebRoute, { kind: "connect" }>,
  ): Promise<void> {
    const principal = await this.#parts.identify(req);
    trace.setPrincipal(principal);
    if (principal.user !== user)
      throw new SupervisorError(
        "USER_MISMATCH",
        "this access key does not belong to the user in the path",
      );
    if (req.method !== "POST") return refuseMethod(res, "GET, HEAD, POST");
    if (queryOf(req.url ?? "") !== "")
      throw new SupervisorError("REQUEST_INVALID", "the access key belongs into the header");
    if ((await this.#posted(req)) === undefined) return;
    const { body, headers } = await beginConnect(this.#parts, { user, server }, trace);
    sendText(res, 200, headers, JSON.stringify(body));
  }

  /** The browser is back from the provider. */
  async #finish({ req, res, trace }: WebRequest): Promise<void> {
    const { catalog, tokens, pages, publicUrl } = this.#parts;
    const startedAt = performance.now();
    const headers = { "set-cookie": connectCookie(publicUrl, "", 0) };
    let whose: { user: string; server: string } | undefined;
    try {
      const back = {
        query: queryOf(req.url ?? ""),
        browser: cookieIn(req.headers.cookie, CONNECT_COOKIE),
      };
      const connected = await tokens.connects.finish(back, (pending) => {
        whose = pending;
        if (catalog.findFor(pending.user, pending.server) === undefined)
          throw new SupervisorError("CONNECT_INVALID", "the server is not the user's any more");
      });
      this.#note({ what: "account connect", ...connected, who: "browser" }, trace, startedAt);
      trace.setServer(connected.server);
      pages.send(req, res, "connected", { values: shownOf(connected), headers });
    } catch (error) {
      const refusal = toSupervisorError(error);
      trace.fail(error);
      const url = whose && connectUrl(publicUrl, whose.user, whose.server);
      const { requestId } = trace;
      const values = { ...wordsOf(refusal, url !== undefined), url: url ?? "", requestId };
      // What was begun since, or elsewhere, goes on.
      const end = whose === undefined ? {} : { headers };
      pages.send(req, res, "not-connected", { status: refusal.status, values, ...end });
    }
  }

  /** Whoever has the code gets an access key for it, once. */
  async #redeem({ req, res, trace }: WebRequest): Promise<void> {
    const startedAt = performance.now();
    if (req.method !== "POST") return refuseMethod(res, "GET, HEAD, POST");
    const body = await this.#posted(req);
    if (body === undefined) return;
    const { registry, catalog, config, publicUrl, edge } = this.#parts;
    const code = typeof body["code"] === "string" ? body["code"] : "";
    const { user, key } = edge.admit(req, () => registry.invites.redeem(code));
    this.#note({ what: "invite redeem", user, server: null, who: "browser" }, trace, startedAt);
    const page = config.pages === false ? null : new URL(mePageUrl(publicUrl)).pathname;
    const servers = new Map(catalog.listFor(user).map((server) => [server.name, server]));
    const urls = personalUrls(publicUrl, { catalog, config }, user);
    const snippets = urls.flatMap((row) =>
      snippetsFor(wantedOf(row, servers.get(row.server)?.transport)),
    );
    const accounts = [...servers.values()].filter(({ tokensFrom }) => tokensFrom?.grant === "user");
    const connect = accounts.map(({ name: server }) => ({
      server,
      path: new URL(connectUrl(publicUrl, user, server)).pathname,
    }));
    sendText(res, 200, {}, JSON.stringify({ user, key, urls, snippets, connect, page }));
  }

  /** The JSON that a page of ours has sent; undefined where the client left. ORIGIN_REFUSED for any other page. */
  async #posted(req: BodyRequest): Promise<Record<string, unknown> | undefined> {
    // Scheme and port too, which the guard at the door leaves open, and cookies as well.
    if (req.headers.origin?.toLowerCase() !== this.#parts.publicUrl.origin)
      throw new SupervisorError("ORIGIN_REFUSED", "only the pages of this server may do that");
    requireJson(req);
    const body = await readBody(req, MAX_BODY_BYTES, this.#parts.edge);
    if (body === undefined) return undefined;
    try {
      const value: unknown = JSON.parse(body.toString());
      if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
    } catch {
      // As any other text that is no object.
    }
    throw new SupervisorError("REQUEST_INVALID", "the body must be a JSON object");
  }

  #note(
    order: { what: string; user: string; server: string | null; who: string },
    { requestId }: Trace,
    startedAt: number,
  ): void {
    const { what, user, server, who } = order;
    const durationMs = performance.now() - startedAt;
    this.#parts.audit.add(orderRow({ what, user, server, who, requestId, durationMs }, undefined));
  }
}

function refuseMethod(res: SafeResponse, allowed: string): never {
  res.setHeader("allow", allowed);
  throw new SupervisorError("METHOD_NOT_ALLOWED", `only ${allowed} can be used on this path`);
}

function shownOf({ user, server, provider, scopes, expiresAt, isRefreshed }: Connected) {
  const instant = `${new Date(expiresAt).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  return {
    user,
    server,
    provider,
    scopes: scopes.length === 0 ? "–" : scopes.join(", "),
    expiresAt: instant,
    "then-en": isRefreshed
      ? "and is renewed by itself before that."
      : "and then you have to connect again: the provider gave nothing to renew it with.",
    "then-zh": isRefreshed
      ? "，到期前会自动续期。"
      : "，到期后需要重新连接：服务方未提供续期凭证。",
  };
}

const WHY: Readonly<Record<NotConnected | "void", readonly [en: string, zh: string]>> = {
  void: [
    "Nothing was begun in this browser that this could finish, or it was finished already, or took longer than ten minutes.",
    "此浏览器中没有可以完成的连接：它可能已经完成、已超过十分钟，或是在其他浏览器中开始的。",
  ],
  denied: [
    "At the provider it was not agreed to. Nothing was changed here.",
    "服务方未获授权同意，此处未作任何更改。",
  ],
  refused: [
    "The provider refused to give a token. Nothing was changed here.",
    "服务方拒绝提供令牌，此处未作任何更改。",
  ],
  client: [
    "The provider does not accept this installation. Tell whoever runs it; the log says what the provider said.",
    "服务方不接受本系统的客户端配置。请告知管理员，详情见日志。",
  ],
  unreachable: [
    "The provider did not answer as it should. Try again in a few minutes.",
    "服务方未能正常响应，请几分钟后再试。",
  ],
};

function wordsOf({ code, data }: SupervisorError, isKnown: boolean): Record<string, string> {
  const why = data?.["why"] as NotConnected | undefined;
  const [en, zh] = WHY[code === "CONNECT_INVALID" ? "void" : (why ?? "unreachable")];
  const [againEn, againZh] = isKnown ? ["Try again", "重试"] : ["", ""];
  return { "why-en": en, "why-zh": zh, "again-en": againEn, "again-zh": againZh };
}
