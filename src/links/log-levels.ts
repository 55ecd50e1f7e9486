/** From the least to the most severe (MCP, logging; RFC 5424). */
const LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

const rank = (level: unknown): number => LEVELS.indexOf(String(level));

/** Whether a message of this level is to be shown to whoever asked for `wanted`; an unknown level of a message is. */
export function isAtLeast(level: unknown, wanted: unknown): boolean {
  return rank(level) === -1 || rank(level) >= rank(wanted);
}

/** The log levels that sessions of one child asked for; the child is told the most verbose. */
export class LogLevels<Session> {
  readonly #asked = new Map<Session, number>();

  /**
   * Takes note of what the session asks for. Gives the level that the child is to be asked for: this
   * one where it has to refuse it, another where its level changes, undefined where it need not hear.
   */
  set(session: Session, level: unknown): "as asked" | { readonly lowest: string } | undefined {
    const before = this.#lowest();
    const wanted = rank(level);
    if (wanted === -1) return "as asked";
    this.#asked.set(session, wanted);
    const lowest = this.#lowest()!;
    return lowest === before ? undefined : { lowest: LEVELS[lowest]! };
  }

  /** Whether a session wants to see a message of this level; one that never asked sees all, as it would alone. */
  wants(session: Session, level: unknown): boolean {
    const asked = this.#asked.get(session);
    return asked === undefined || rank(level) === -1 || rank(level) >= asked;
  }

  delete(session: Session): void {
    this.#asked.delete(session);
  }

  #lowest(): number | undefined {
    return this.#asked.size === 0 ? undefined : Math.min(...this.#asked.values());
  }
}
