import type { ServerDef } from "../config/config.ts";
import { History } from "./history.ts";
import { rowOf } from "./instance-row.ts";
import { isOwnVariant } from "./instance-types.ts";
import { OutputLog } from "./output-log.ts";
import { RestartPolicy } from "./restart-policy.ts";
import { newUsage } from "./usage.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import type { InstanceFailure } from "./history.ts";
import type { InstanceRow, Ref, Selector } from "./instance-types.ts";

/**
 * How a user and server stand, whichever of their children it was: what failed in a row and what was
 * said last outlives a session's own child, or one that does not start would be tried anew with every
 * session, and nobody could say why.
 */
export class Standing {
  readonly policy = new RestartPolicy();
  readonly history = new History();
  readonly output: OutputLog;
  /** What the last child was started as that became ready. */
  works: ServerDef | undefined;
  /** A session's own child that failed, until one of the children is ready or somebody saw to it. */
  fallen: InstanceRow | undefined;

  constructor(scrubber: Scrubber) {
    this.output = new OutputLog(scrubber);
  }

  /** A start failed, or a child ended unasked; `row` is its as it stands, where nothing serves in its place. */
  note(failure: InstanceFailure, row: InstanceRow | undefined): void {
    this.history.add(failure);
    if (row !== undefined && isOwnVariant(row.variant)) this.fallen = row;
  }

  /** Nothing that happened up to now is held against them. */
  forgive(): void {
    this.policy.clear();
    this.fallen = undefined;
  }

  /** What an admin is told in the place of a session's own child that is gone. */
  fallenRow(): InstanceRow | undefined {
    const [failure] = this.history.all();
    if (this.fallen === undefined || failure === undefined) return undefined;
    const { user, server, variant, generation, restarts, isolation } = this.fallen;
    const state = this.policy.down(failure.at, failure.reason);
    const kept = { generation, restarts, failures: this.policy.failures, isolation };
    return rowOf({ ref: { user, server, variant }, state, usage: newUsage(), ...kept });
  }
}

type Owner = Pick<Ref, "user" | "server">;

/** One for each user and server that was ever asked for. */
export class Standings {
  readonly #byOwner = new Map<string, { readonly owner: Owner; readonly standing: Standing }>();
  readonly #scrubber: Scrubber;

  constructor(scrubber: Scrubber) {
    this.#scrubber = scrubber;
  }

  of(ref: Owner): Standing {
    const known = this.find(ref);
    if (known !== undefined) return known;
    const standing = new Standing(this.#scrubber);
    const owner = { user: ref.user, server: ref.server };
    this.#byOwner.set(`${ref.user}/${ref.server}`, { owner, standing });
    return standing;
  }

  find({ user, server }: Owner): Standing | undefined {
    return this.#byOwner.get(`${user}/${server}`)?.standing;
  }

  /** Whose a selector means, whatever variant it names. */
  select({ user, server }: Selector): { readonly owner: Owner; readonly standing: Standing }[] {
    return [...this.#byOwner.values()].filter(
      ({ owner }) =>
        (user === undefined || owner.user === user) &&
        (server === undefined || owner.server === server),
    );
  }

  forgive(selector: Selector): void {
    for (const { standing } of this.select(selector)) standing.forgive();
  }

  delete(selector: Selector): void {
    for (const { owner } of this.select(selector))
      this.#byOwner.delete(`${owner.user}/${owner.server}`);
  }
}
