import { SupervisorError } from "../../errors.ts";
import { withDeadline } from "../../platform/deadline.ts";
import type { Store } from "../../store/store.ts";
import { feishuClient } from "../../tokens/providers/feishu.ts";
import { Refused } from "../../tokens/providers/provider.ts";
import type { Issued, ProviderClient } from "../../tokens/providers/provider.ts";
import { stored } from "../../tokens/refresh-once.ts";
import { Reserve, isDiskFull } from "../../tokens/reserve.ts";
import { Turns } from "../../tokens/turns.ts";
import type { Digests } from "../../vault/digest.ts";
import type { Vault } from "../../vault/vault.ts";
import type { FeishuApp } from "./app.ts";

const CALL_TIMEOUT_MS = 15_000;
/** A token that ends sooner is not given out again. */
const LEFT_MS = 300_000;
/** How long the answer to a refresh is given to whoever asks for the same: the refresh token died with its first use. */
const REPEATED_MS = 600_000;
/** Where Feishu does not say. */
const DEFAULT_LIFETIME_MS = 3_600_000;
/** Of one user and server; who refreshes more within minutes has the answers of the last ones. */
const MOST_ROWS = 100;
/** The code of a refresh token that v2 does not know, as those that v1 issued. */
const NOT_OF_V2 = "20026";

/** Who asks, where, and as which app. */
export interface Asking {
  readonly user: string;
  readonly server: string;
  readonly baseUrl: string;
  readonly app: FeishuApp;
}

// A type, as the result of a tool has to be any object.
export type AppToken = { app_access_token: string; expires_at: number };
export type UserToken = {
  access_token: string;
  refresh_token: string;
  expires_in: number;
  token_type: string;
  scope: string;
};

export interface FeishuTokensParts {
  store: Pick<Store, "feishuTokens">;
  vault: Pick<Vault, "seal" | "open">;
  digests: Digests;
  dataDir: string;
  /** Sees what is given out, to keep it out of all output. */
  hide: (secret: string) => void;
}

interface Found {
  readonly text: string;
  /** Until when it may be given out again (epoch ms). */
  readonly until: number;
}

/** What is asked of Feishu, and is asked once by all who want it. */
interface Question {
  readonly asking: Asking;
  readonly key: string;
  readonly ask: (signal: AbortSignal) => Promise<Found>;
  /** What cannot be had a second time: it is on the disk before anybody sees it. */
  readonly isSingle: boolean;
}

/** Asks Feishu for tokens, and keeps what it gives, sealed, for as long as that may be given out again. */
export class FeishuTokens {
  readonly #parts: FeishuTokensParts;
  readonly #reserve: Reserve;
  readonly #flights = new Map<string, Promise<string>>();
  /** By user: what one of them asks for, and how often, keeps no other waiting. */
  readonly #turns = new Map<string, Turns>();
  readonly #closing = new AbortController();
  readonly #late = new AbortController();

  constructor(parts: FeishuTokensParts) {
    this.#parts = parts;
    this.#reserve = new Reserve(parts.dataDir);
  }

  /** A token of the app that is good for five minutes and more. Rejects with Refused, STORE_FAILED or STOPPING. */
  async appToken(asking: Asking): Promise<AppToken> {
    const { baseUrl, app } = asking;
    const key = this.#parts.digests.of("app", baseUrl, app.id, app.secret);
    const ask = async (signal: AbortSignal): Promise<Found> => {
      const askedAt = Date.now();
      const issued = await clientOf(asking).issue("app", signal);
      const expiresAt = askedAt + (issued.expiresInMs ?? DEFAULT_LIFETIME_MS);
      const token: AppToken = {
        app_access_token: issued.accessToken,
        expires_at: expiresAt / 1000,
      };
      return { text: JSON.stringify(token), until: expiresAt - LEFT_MS };
    };
    const token = (await this.#find({ asking, key, ask, isSingle: false })) as AppToken;
    this.#parts.hide(token.app_access_token);
    return token;
  }

  /**
   * What Feishu gives for the refresh token, which is asked for once, whoever asks. Rejects as
   * `appToken`, and with DISK_FULL where what comes could not be kept: Feishu was not asked then.
   */
  async refresh(asking: Asking, refreshToken: string): Promise<UserToken> {
    const { baseUrl, app } = asking;
    const key = this.#parts.digests.of("refresh", baseUrl, app.id, app.secret, refreshToken);
    this.#parts.hide(refreshToken);
    const ask = async (signal: AbortSignal): Promise<Found> => {
      const issued = await refreshedBy(asking, refreshToken, signal);
      const token: UserToken = {
        access_token: issued.accessToken,
        refresh_token: issued.refreshToken ?? refreshToken,
        expires_in: Math.floor((issued.expiresInMs ?? DEFAULT_LIFETIME_MS) / 1000),
        token_type: issued.tokenType ?? "Bearer",
        scope: issued.scope ?? "",
      };
      return { text: JSON.stringify(token), until: Date.now() + REPEATED_MS };
    };
    const token = (await this.#find({ asking, key, ask, isSingle: true })) as UserToken;
    this.#parts.hide(token.access_token);
    this.#parts.hide(token.refresh_token);
    return token;
  }

  /** Resolves when nothing is asked any more: what Feishu was asked for is stored. */
  async close(): Promise<void> {
    this.#closing.abort(new SupervisorError("STOPPING", "the supervisor is stopping"));
    const all = Promise.allSettled(this.#flights.values());
    await withDeadline(all, CALL_TIMEOUT_MS + 1000, () => []);
    this.#late.abort();
  }

  async #find(question: Question): Promise<unknown> {
    const { asking, key } = question;
    const name = `${asking.user}/${asking.server}/${key}`;
    let flight = this.#flights.get(name);
    if (flight === undefined) {
      flight = this.#kept(question) ?? this.#ask(question);
      this.#flights.set(name, flight);
      const over = (): void => void this.#flights.delete(name);
      flight.then(over, over);
    }
    return JSON.parse(await flight) as unknown;
  }

  #kept({ asking, key }: Question): Promise<string> | undefined {
    const place = placeOf(asking, key);
    const box = this.#parts.store.feishuTokens.find(place);
    if (box === undefined) return undefined;
    return Promise.resolve(this.#parts.vault.open(box, aadOf(place)));
  }

  async #ask({ asking, key, ask, isSingle }: Question): Promise<string> {
    const turns = this.#turns.get(asking.user) ?? new Turns();
    this.#turns.set(asking.user, turns);
    const giveBack = await turns.take(true, this.#closing.signal);
    try {
      if (isSingle) this.#reserve.keep();
      const { text, until } = await ask(AbortSignal.timeout(CALL_TIMEOUT_MS));
      const write = (): void => this.#write(placeOf(asking, key), text, until);
      if (isSingle) await stored({ reserve: this.#reserve, closing: this.#late.signal }, write);
      else this.#writeIfThereIsRoom(write);
      return text;
    } finally {
      giveBack();
    }
  }

  #write(place: ReturnType<typeof placeOf>, text: string, until: number): void {
    const { store, vault } = this.#parts;
    store.feishuTokens.put(place, vault.seal(text, aadOf(place)), until, MOST_ROWS);
  }

  /** Whoever wants the app's token again can ask again. */
  #writeIfThereIsRoom(write: () => void): void {
    try {
      write();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }
}

const placeOf = ({ user, server, app }: Asking, key: string) => ({
  user,
  server,
  app: app.id,
  key,
});

/** Bound into the box: a row that is moved does not open there. */
const aadOf = ({ user, server, app, key }: ReturnType<typeof placeOf>): string =>
  `feishu_tokens|${user}|${server}|${app}|${key}`;

function clientOf({ baseUrl, app }: Asking, api: "v2" | "v1-oidc" = "v2"): ProviderClient {
  const def = { api, baseUrl, accountsUrl: baseUrl, clientId: app.id };
  return feishuClient(def, () => app.secret);
}

/** By v2, and by v1 where v2 says that it is none of its own; that has not used it up. */
async function refreshedBy(
  asking: Asking,
  refreshToken: string,
  signal: AbortSignal,
): Promise<Issued> {
  try {
    return await clientOf(asking).refresh(refreshToken, signal);
  } catch (error) {
    if (!(error instanceof Refused) || error.message !== NOT_OF_V2) throw error;
    return await clientOf(asking, "v1-oidc").refresh(refreshToken, signal);
  }
}
