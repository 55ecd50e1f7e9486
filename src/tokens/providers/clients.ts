import type { Config, ProviderDef } from "../../config/config.ts";
import { readClientSecret } from "./client-secret.ts";
import { feishuClient } from "./feishu.ts";
import { Turns } from "../turns.ts";
import { oauth2Client } from "./oauth2.ts";
import type { ProviderClient } from "./provider.ts";

/** The clients of the providers that the config names, as it is at the moment. */
export class ProviderClients {
  readonly #config: Pick<Config, "providers">;
  readonly #hide: (name: string, secret: string) => unknown;
  readonly #turns = new Map<string, Turns>();
  readonly #clients = new Map<string, { def: ProviderDef; client: ProviderClient }>();

  /** `hide` sees each client's secret, to keep it out of all output. */
  constructor(config: Pick<Config, "providers">, hide: (name: string, secret: string) => unknown) {
    this.#config = config;
    this.#hide = hide;
  }

  /** Undefined where there is no such provider any more. */
  find(name: string): { def: ProviderDef; client: ProviderClient } | undefined {
    const def = this.#config.providers[name];
    if (def === undefined) return undefined;
    const known = this.#clients.get(name);
    if (known?.def === def) return known;
    const secretOf = (): string => {
      const secret = readClientSecret(def.clientSecretFile);
      this.#hide(`provider ${name}`, secret);
      return secret;
    };
    const client =
      def.kind === "feishu" ? feishuClient(def, secretOf) : oauth2Client(def, secretOf);
    const made = { def, client };
    this.#clients.set(name, made);
    return made;
  }

  /** Whose turn it is to ask that provider, for whomever. */
  turnsOf(name: string): Turns {
    let turns = this.#turns.get(name);
    if (turns === undefined) this.#turns.set(name, (turns = new Turns()));
    return turns;
  }
}
