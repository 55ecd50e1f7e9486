import type { Registry } from "../auth/registry.ts";
import { SupervisorError } from "../errors.ts";
import type { SecretNow, SecretsFor } from "../instances/instance-context.ts";
import type { Ref, Supervisor } from "../instances/supervisor.ts";
import type { Logger } from "../telemetry/logger.ts";
import { MIN_SECRET_LENGTH } from "../telemetry/scrubber.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import type { Tokens } from "../tokens/tokens.ts";

export interface ChildSecretsParts {
  registry: Pick<Registry, "findUser">;
  tokens: Pick<Tokens, "freshFor" | "secretFor">;
  scrubber: Scrubber;
  log: Logger;
}

/** The tokens that children are started with, each hidden from logs for as long as a child has it. */
export class ChildSecrets {
  readonly #parts: ChildSecretsParts;

  constructor(parts: ChildSecretsParts) {
    this.#parts = parts;
  }

  /**
   * The token for a child that is about to start; undefined where there is none. It is
   * asked for at each start, so a request that was let in before its user was disabled, and is only
   * now at the child, is refused here: USER_DISABLED.
   */
  readonly secretsFor: SecretsFor = async (ref, generation, signal) => {
    this.#requireEnabled(ref);
    const token = await this.#parts.tokens.freshFor(ref.user, ref.server, signal);
    // That may have taken a while.
    this.#requireEnabled(ref);
    if (token !== undefined) this.#hide(ref, generation, token);
    return token;
  };

  /** As `secretsFor`, for a generation that runs and is to have it in place of another. */
  readonly secretNow: SecretNow = (ref, generation) => {
    this.#requireEnabled(ref);
    const token = this.#parts.tokens.secretFor(ref.user, ref.server);
    if (token !== undefined) this.#hide(ref, generation, token);
    return token;
  };

  /** What a supervisor is opened with. */
  get forChildren(): { secretsFor: SecretsFor; secretNow: SecretNow } {
    return { secretsFor: this.secretsFor, secretNow: this.secretNow };
  }

  /** From now on a token is hidden no longer than a generation that was started with it is there. */
  unhideAfterUse({ events }: Pick<Supervisor, "events">): void {
    events.on("state", ({ ref, generation, state }) => {
      if (state === "gone") this.#parts.scrubber.delete(nameOf(ref, generation));
    });
  }

  #requireEnabled({ user }: Ref): void {
    if (this.#parts.registry.findUser(user)?.state !== "enabled")
      throw new SupervisorError("USER_DISABLED", "the user is disabled or is being removed");
  }

  #hide(ref: Ref, generation: number, token: string): void {
    if (this.#parts.scrubber.set(nameOf(ref, generation), token)) return;
    const { user, server } = ref;
    this.#parts.log.warn(
      { user, server },
      `the token is shorter than ${MIN_SECRET_LENGTH} characters, so it cannot be told from other text and is not removed from logs`,
    );
  }
}

/** Each generation of each variant has the token that there was when it was started. */
const nameOf = ({ user, server, variant }: Ref, generation: number): string =>
  `token ${user}/${server}/${variant} ${generation}`;
