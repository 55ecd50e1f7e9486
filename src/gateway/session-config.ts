import { appOf } from "../builtins/feishu/app.ts";
import type { FeishuApp } from "../builtins/feishu/app.ts";
import type { Builtins } from "../builtins/builtins.ts";
import type { ServerDef } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import type { RequestHead } from "../http/exchange.ts";
import { languageOf } from "../http/language.ts";
import type { SessionSettings } from "../sessions/session-options.ts";
import { queryOf, valuesOf } from "./routes.ts";

/**
 * What a request says of its session beside the messages, where the server is part of the daemon:
 * the client's language, and what it set in its URL, or what stands in place of that. REQUEST_INVALID for settings that are not whole;
 * nothing of them is repeated.
 */
export function settingsOf(
  builtins: Pick<Builtins, "markOf">,
  server: ServerDef,
  req: RequestHead,
  given?: Readonly<Record<string, unknown>>,
): SessionSettings | undefined {
  if (server.kind !== "builtin") return undefined;
  const language = languageOf(req.headers["accept-language"]);
  const asked = given ?? queryOf(req.url ?? "");
  const app = server.sessionConfig ? appIn(asked) : undefined;
  return { caller: { language, app }, mark: app && builtins.markOf(app) };
}

/** The app that is named. */
function appIn(asked: string | Readonly<Record<string, unknown>>): FeishuApp | undefined {
  const { app_id: id, app_secret: secret } = typeof asked === "string" ? inQuery(asked) : asked;
  if (id === undefined && secret === undefined) return undefined;
  const app = appOf(id, secret);
  if (app === undefined) throw invalid("app_id and app_secret have to be there both, as text");
  return app;
}

/** By a parameter for each of the two, else in `config`. */
function inQuery(query: string): Readonly<Record<string, unknown>> {
  const config = configIn(query) ?? {};
  const [id, secret] = [parameterIn(query, "app_id"), parameterIn(query, "app_secret")];
  return { app_id: id ?? config["app_id"], app_secret: secret ?? config["app_secret"] };
}

function parameterIn(query: string, name: string): string | undefined {
  const [value, ...others] = valuesOf(query, name);
  if (others.length > 0) throw invalid("a parameter stands there twice");
  if (value === undefined) return undefined;
  try {
    return decodeURIComponent(value);
  } catch {
    throw invalid("it is not percent-encoded as it should be");
  }
}

/** JSON of an object in base64 of either kind. */
function configIn(query: string): Record<string, unknown> | undefined {
  const encoded = parameterIn(query, "config");
  if (encoded === undefined) return undefined;
  if (!/^[\w+/-]*={0,2}$/.test(encoded)) throw invalid("config is not base64");
  try {
    const value: unknown = JSON.parse(Buffer.from(encoded, "base64").toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // As below.
  }
  throw invalid("config is not a JSON object in base64");
}

const invalid = (why: string): SupervisorError =>
  new SupervisorError(
    "REQUEST_INVALID",
    `the session's settings in the URL cannot be read: ${why}`,
  );
