import type { Servers } from "../catalog/catalog.ts";
import type { BuiltinServer, Config } from "../config/config.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import { Digests } from "../vault/digest.ts";
import type { Vault } from "../vault/vault.ts";
import type { Builtin } from "./builtin.ts";
import type { FeishuApp } from "./feishu/app.ts";
import { FeishuServer } from "./feishu/feishu-server.ts";
import { FeishuTokens } from "./feishu/feishu-tokens.ts";
import { RecentSecrets } from "./recent-secrets.ts";

export interface BuiltinsParts {
  store: Pick<Store, "feishuTokens" | "secrets">;
  vault: Pick<Vault, "seal" | "open">;
  config: Pick<Config, "dataDir">;
  servers: Servers;
  scrubber: Pick<Scrubber, "set" | "drop">;
  log: Logger;
  version: string;
  /** That of whoever runs the daemon. */
  ownApp?: FeishuApp | undefined;
}

/** The servers that are part of the daemon, with what they share. */
export class Builtins {
  readonly #parts: BuiltinsParts;
  readonly #digests: Digests;
  readonly #tokens: FeishuTokens;
  readonly #hide: (secret: string) => void;

  constructor(parts: BuiltinsParts) {
    const { store, vault, config, scrubber } = parts;
    this.#parts = parts;
    this.#digests = new Digests(store.secrets, vault);
    const secrets = new RecentSecrets(scrubber);
    this.#hide = (secret) => secrets.hide(secret);
    const { dataDir } = config;
    const own = { store, vault, dataDir, digests: this.#digests, hide: this.#hide };
    this.#tokens = new FeishuTokens(own);
    this.retain();
  }

  /** The server as this user has it; `tokenOf` is asked at each call. */
  serve(user: string, def: BuiltinServer, tokenOf: () => string | undefined): Builtin {
    const { log, version, ownApp } = this.#parts;
    const [tokens, hide] = [this.#tokens, this.#hide];
    return new FeishuServer({ user, def, tokens, tokenOf, ownApp, hide, version, log });
  }

  /** Tells one app that clients name from every other, and after a restart too; it is kept out of all output from now on. */
  markOf({ id, secret }: FeishuApp): string {
    this.#hide(secret);
    return this.#digests.of("session", id, secret);
  }

  /** What is kept of servers that are no more goes. */
  retain(): void {
    const { servers, store } = this.#parts;
    const names = servers.list().filter(({ kind }) => kind === "builtin");
    store.feishuTokens.retain(new Set(names.map(({ name }) => name)));
  }

  async close(): Promise<void> {
    await this.#tokens.close();
  }
}
