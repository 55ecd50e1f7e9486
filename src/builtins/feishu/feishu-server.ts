import { contained } from "../../containment.ts";
import type { BuiltinServer } from "../../config/config.ts";
import { ERROR_CODES, SupervisorError } from "../../errors.ts";
import { MODERN_VERSIONS } from "../../mcp/modern.ts";
import { readSecretFile } from "../../platform/secret-file.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { Refused } from "../../tokens/providers/provider.ts";
import type { Builtin, Caller, Conversation, Say } from "../builtin.ts";
import { ToolConversation } from "../conversation.ts";
import type { ToolResult, ToolServer } from "../conversation.ts";
import { appInToken, appOf } from "./app.ts";
import type { FeishuApp } from "./app.ts";
import type { AppToken, Asking, FeishuTokens, UserToken } from "./feishu-tokens.ts";
import { APP_TOKEN, REFRESH, feishuTools } from "./tools.ts";
import { WORDS, refusalWords } from "./words.ts";

/** Longer than any, a JWT too. */
const LONGEST_TOKEN = 16 * 1024;

export interface FeishuServerParts {
  readonly user: string;
  readonly def: BuiltinServer;
  readonly tokens: Pick<FeishuTokens, "appToken" | "refresh">;
  /** The user's token for the server, as it is at the moment. */
  readonly tokenOf: () => string | undefined;
  /** That of whoever runs the daemon. */
  readonly ownApp: FeishuApp | undefined;
  readonly hide: (secret: string) => void;
  readonly version: string;
  readonly log: Logger;
}

/** The tools that give Feishu tokens, for one user. */
export class FeishuServer implements Builtin, ToolServer {
  readonly versions = MODERN_VERSIONS;
  readonly info: ToolServer["info"];
  readonly tools = feishuTools;
  readonly #parts: FeishuServerParts;

  constructor(parts: FeishuServerParts) {
    this.#parts = parts;
    const { version } = parts;
    this.info = { name: "feishu-token", title: "Feishu tokens", version };
  }

  open(caller: Caller, say: Say): Conversation {
    return new ToolConversation(this, caller, say);
  }

  call(tool: unknown, args: unknown, caller: Caller): Promise<ToolResult> | undefined {
    const { tokens } = this.#parts;
    if (tool === APP_TOKEN)
      return this.#answer(caller, async (asking) => await tokens.appToken(asking));
    if (tool !== REFRESH) return undefined;
    const refreshToken = refreshTokenIn(args);
    if (refreshToken === undefined)
      return Promise.resolve(failed(WORDS.noRefreshToken[caller.language]));
    return this.#answer(caller, async (asking) => await tokens.refresh(asking, refreshToken));
  }

  async #answer(
    caller: Caller,
    ask: (asking: Asking) => Promise<AppToken | UserToken>,
  ): Promise<ToolResult> {
    const { user, def, hide } = this.#parts;
    const { language } = caller;
    try {
      const app = this.#appOf(caller);
      if (app === undefined) return failed(WORDS.noApp[language]);
      hide(app.secret);
      const token = await ask({ user, server: def.name, baseUrl: def.baseUrl, app });
      const content = [{ type: "text", text: JSON.stringify(token) }] as const;
      return { content, structuredContent: token };
    } catch (error) {
      if (error instanceof Refused) return failed(refusalWords(codeOf(error), language));
      return failed(this.#told(error) ?? WORDS.ours[language]);
    }
  }

  /** That of the client's URL first, then what the user, the server's admin and the daemon's have set. */
  #appOf({ app }: Caller): FeishuApp | undefined {
    const { def, tokenOf, ownApp } = this.#parts;
    return app ?? appInToken(tokenOf()) ?? this.#appOfServer(def) ?? ownApp;
  }

  #appOfServer({ name, app }: BuiltinServer): FeishuApp | undefined {
    if (app === null) return undefined;
    // Read each time, so that another one needs no restart.
    const secret = readSecretFile(app.secretFile, "the app's secret");
    const found = appOf(app.id, secret);
    if (found !== undefined) return found;
    throw new SupervisorError("CONFIG_UNREADABLE", `${name}: the app's secret is not one line`);
  }

  /** What a client may know of it. */
  #told(error: unknown): string | undefined {
    const { user, def, log } = this.#parts;
    const failure = contained("request", error, { user, server: def.name });
    const { code, message } = failure;
    if (code !== "INTERNAL") log.warn({ user, server: def.name, code }, message);
    return ERROR_CODES[code].expose ? `${code}: ${message}` : undefined;
  }
}

/** Feishu's own, or that of HTTP; what else a refusal says is of our words, and not of the client's language. */
const codeOf = ({ message }: Refused): string | undefined =>
  /^(?:[a-z\d_.-]+|HTTP \d+)$/i.test(message) ? message : undefined;

function refreshTokenIn(args: unknown): string | undefined {
  const { refresh_token: token } = (args ?? {}) as { refresh_token?: unknown };
  const isToken = typeof token === "string" && /^[\x21-\x7e]+$/.test(token);
  return isToken && token.length <= LONGEST_TOKEN ? token : undefined;
}

const failed = (text: string): ToolResult => ({
  content: [{ type: "text", text }],
  isError: true,
});
