import type { Conversation } from "../helpers/conversation.ts";

export interface LoadedCall {
  n: number;
  sentAt: number;
  endedAt: number;
  /** Undefined where it was answered. */
  failure: string | undefined;
  /** Who has served it. */
  pid: number;
  token: string | null;
}

/** Calls that are sent in even steps, whether those before are answered or not, from one session after the other. */
export class Load {
  readonly calls: LoadedCall[] = [];
  readonly #sessions: readonly Conversation[];
  readonly #callMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #open = new Set<Promise<void>>();
  #n = 0;

  constructor(sessions: readonly Conversation[], perSecond: number, callMs: number) {
    this.#sessions = sessions;
    this.#callMs = callMs;
    this.#timer = setInterval(() => {
      const call = this.#send().finally(() => this.#open.delete(call));
      this.#open.add(call);
    }, 1000 / perSecond);
  }

  get failures(): string[] {
    return this.calls.flatMap(({ failure }) => failure ?? []);
  }

  /** Sends no more; resolves when all that was sent is over. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
  }

  async #send(): Promise<void> {
    const n = (this.#n += 1);
    const session = this.#sessions[n % this.#sessions.length]!;
    const sentAt = performance.now();
    const params = { name: "late", arguments: { ms: this.#callMs, n } };
    let failure: string | undefined;
    let told: { n?: number; pid: number; token: string | null } = { pid: 0, token: null };
    try {
      const { result, error, status } = await session.ask(n, "tools/call", params);
      if (result === undefined) failure = `${status} ${error?.message}`;
      else told = JSON.parse((result["content"] as { text: string }[])[0]!.text) as typeof told;
      if (result !== undefined && told.n !== n) failure = `the answer of ${told.n} to ${n}`;
    } catch (error) {
      failure = (error as Error).message;
    }
    const { pid, token } = told;
    this.calls.push({ n, sentAt, endedAt: performance.now(), failure, pid, token });
  }
}
