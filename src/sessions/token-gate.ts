import type { ServerDef } from "../config/config.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Tokens } from "../tokens/tokens.ts";

/** How long a call waits for a child that is to have the new token. */
const PATIENCE_MS = 15_000;

type GatedTokens = Pick<Tokens, "renewalOf" | "handedOver">;

/** Keeps calls from servers whose token is over: a provider is asked for another first. */
export class TokenGate {
  readonly #tokens: GatedTokens;
  readonly #supervisor: Pick<Supervisor, "started">;

  constructor(tokens: GatedTokens, supervisor: Pick<Supervisor, "started">) {
    this.#tokens = tokens;
    this.#supervisor = supervisor;
  }

  /** What these messages have to wait for, if they have to; it rejects with TOKEN_EXPIRED where there is no token. */
  waitOf(
    user: string,
    server: ServerDef,
    messages: readonly ClientMessage[],
  ): Promise<void> | undefined {
    const isCall = messages.some(({ method }) => method === "tools/call");
    return isCall ? this.waitOfCall(user, server) : undefined;
  }

  /** As `waitOf`, for a call of a tool. */
  waitOfCall(user: string, { name, tokensFrom }: ServerDef): Promise<void> | undefined {
    if (tokensFrom === null) return undefined;
    const renewal = this.#tokens.renewalOf(user, name);
    return renewal && this.#handedOver(renewal, user, name);
  }

  async #handedOver(renewal: Promise<unknown>, user: string, server: string): Promise<void> {
    await renewal;
    await this.#supervisor.started({ user, server }, PATIENCE_MS);
    this.#tokens.handedOver(user, server);
  }
}
