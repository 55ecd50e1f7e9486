import getPort, { clearLockedPorts } from "get-port";
import { SupervisorError, shortageOf } from "../../errors.ts";
import { holderOf } from "./listeners.ts";
import type { Config } from "../../config/config.ts";
import type { Ref } from "../engine.ts";

/** A client that still holds the URL of a child that has ended must not find another user's child there. */
const QUARANTINE_MS = 60_000;

/** The ports of the children: no two at once, and none again soon after its child's end. */
export class Ports {
  readonly #range: Config["ports"];
  readonly #used = new Set<number>();
  readonly #quarantined = new Map<number, number>();
  readonly #pinned: ReadonlySet<number>;
  #next: number;

  constructor(range: Config["ports"]) {
    this.#range = range;
    this.#pinned = new Set(Object.values(range.pin));
    this.#next = range.from;
  }

  pinOf({ user, server }: Ref): number | undefined {
    return this.#range.pin[`${user}/${server}`];
  }

  /**
   * A port nobody listens on, held until `release`. Only a hint: another program may take it before
   * the child does, so readiness asks whose the listener is.
   * Rejects with INSTANCE_SPAWN_FAILED when the range is used up or the pinned port is somebody's,
   * with RESOURCES_EXHAUSTED when there is no descriptor left to try one.
   */
  async take(ref: Ref): Promise<number> {
    const pin = this.pinOf(ref);
    return await (pin === undefined ? this.#find(ref) : this.#takePin(ref, pin));
  }

  release(port: number): void {
    if (this.#used.delete(port) && !this.#pinned.has(port))
      this.#quarantined.set(port, performance.now() + QUARANTINE_MS);
  }

  async #takePin({ user, server }: Ref, port: number): Promise<number> {
    const isUsed = this.#used.has(port);
    this.#used.add(port);
    const holder = isUsed ? "another instance" : await holderOf(port);
    if (holder === undefined) return port;
    if (!isUsed) this.#used.delete(port);
    throw new SupervisorError(
      "INSTANCE_SPAWN_FAILED",
      `${user}/${server}: its pinned port ${port} is held by ${holder}`,
    );
  }

  async #find(ref: Ref): Promise<number> {
    for (const isFree of [this.#isRested, this.#isUnused]) {
      const candidates = this.#candidates(isFree);
      if (candidates.length === 0) continue;
      // get-port keeps what it gave out for itself for up to 30 s; the bookkeeping here is exact.
      clearLockedPorts();
      // It goes on to any port of the system when the candidates are taken, which is not ours to use.
      const port = await getPort({ port: candidates }).catch((cause: unknown) => {
        throw shortageOf(cause, `${ref.user}/${ref.server}: no port could be looked for`) ?? cause;
      });
      // Two searches may end with the same port: the first one to come back has it.
      if (this.#used.has(port)) return await this.#find(ref);
      if (candidates.includes(port)) {
        this.#used.add(port);
        this.#next = port + 1;
        return port;
      }
    }
    const { from, to } = this.#range;
    throw new SupervisorError(
      "INSTANCE_SPAWN_FAILED",
      `${ref.user}/${ref.server}: no port from ${from} to ${to} is free`,
    );
  }

  /** In turn, so that a port is reused as late as can be. */
  #candidates(isFree: (port: number) => boolean): number[] {
    const { from, to } = this.#range;
    const found: number[] = [];
    const start = this.#next > to ? from : this.#next;
    for (let port = start; port <= to; port++) if (isFree(port)) found.push(port);
    for (let port = from; port < start; port++) if (isFree(port)) found.push(port);
    return found;
  }

  #isUnused = (port: number): boolean => !this.#used.has(port) && !this.#pinned.has(port);

  #isRested = (port: number): boolean => {
    const until = this.#quarantined.get(port);
    if (until !== undefined && until <= performance.now()) this.#quarantined.delete(port);
    return this.#isUnused(port) && !this.#quarantined.has(port);
  };
}
