import type { Registry } from "../auth/registry.ts";
import { SupervisorError } from "../errors.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Logger } from "../telemetry/logger.ts";
import { MIN_SECRET_LENGTH } from "../telemetry/scrubber.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import type { Tokens } from "../tokens/tokens.ts";

export interface ChildSecretsParts {
  registry: Pick<Registry, "findUser">;
  tokens: Pick<Tokens, "secretFor">;
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
   * The token for a child of this user that is about to start; undefined where there is none. It is
   * asked for at each start, so a request that was let in before its user was disabled, and is only
   * now at the child, is refused here: USER_DISABLED.
   */
  tokenFor(user: string, server: string): string | undefined {
    const { registry, tokens } = this.#parts;
    if (registry.findUser(user)?.state !== "enabled")
      throw new SupervisorError("USER_DISABLED", "the user is disabled or is being removed");
    const token = tokens.secretFor(user, server);
    if (token !== undefined) this.#hide(user, server, token);
    return token;
  }

  /** From now on a token is hidden no longer than an instance that was started with it runs. */
  unhideAfterUse(supervisor: Pick<Supervisor, "events" | "list">): void {
    supervisor.events.on("state", ({ ref: { user, server }, state }) => {
      if (state !== "stopped") return;
      const rows = supervisor.list({ user, server });
      if (rows.every((row) => row.state === "stopped"))
        this.#parts.scrubber.delete(nameOf(user, server));
    });
  }

  #hide(user: string, server: string, token: string): void {
    if (this.#parts.scrubber.set(nameOf(user, server), token)) return;
    this.#parts.log.warn(
      { user, server },
      `the token is shorter than ${MIN_SECRET_LENGTH} characters, so it cannot be told from other text and is not removed from logs`,
    );
  }
}

const nameOf = (user: string, server: string): string => `token ${user}/${server}`;
