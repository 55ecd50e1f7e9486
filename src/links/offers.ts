import { SupervisorError } from "../errors.ts";
import { LEGACY_VERSIONS, OFFERED_VERSION, isLegacyVersion } from "../mcp/versions.ts";
import type { IncomingValue } from "./stdio-pipe.ts";

export interface OffersOptions {
  /** What this server took before. */
  remembered?: string | undefined;
  /** What the client asked for that waits. */
  wanted?: string | undefined;
  /** The text of a refusal as it may be told. */
  clean?: (text: string) => string;
}

/**
 * The versions that a server is offered in one start, over as many processes as that takes. One that
 * refuses the newest with an error, where it should have answered with one of its own (MCP, version
 * negotiation), still speaks an older one.
 */
export class Offers {
  readonly #options: OffersOptions;
  readonly #left = new Set<string>(LEGACY_VERSIONS);
  #supported: readonly unknown[] = [];
  #refusal: SupervisorError | undefined;
  #wasRefusedHere = false;

  constructor(options: OffersOptions = {}) {
    this.#options = options;
  }

  /** What to offer next; undefined when all were refused. */
  get next(): string | undefined {
    const { remembered, wanted } = this.#options;
    const left = [...this.#left];
    if (this.#refusal === undefined)
      return remembered !== undefined && isLegacyVersion(remembered) ? remembered : OFFERED_VERSION;
    const named = left.find((version) => this.#supported.includes(version));
    return named ?? left.find((version) => version === wanted) ?? left[0];
  }

  /** UPSTREAM_INVALID with what the child said first, once it has refused. */
  get refusal(): SupervisorError | undefined {
    return this.#refusal;
  }

  /** The child answered the offer of that version with an error. */
  refused(version: string, { code, message, data }: NonNullable<IncomingValue["error"]>): void {
    const { clean = String } = this.#options;
    const said = typeof message === "string" ? clean(message) : "it does not say why";
    this.#refusal ??= new SupervisorError(
      "UPSTREAM_INVALID",
      `the child refused to initialize: ${said}${typeof code === "number" ? ` (${code})` : ""}`,
    );
    const supported = (data as { supported?: unknown } | null | undefined)?.supported;
    if (Array.isArray(supported)) this.#supported = supported;
    this.#left.delete(version);
    this.#wasRefusedHere = true;
  }

  /** The process ended without an agreement; whether a new one is to be offered what is left. */
  processEnded(): boolean {
    if (this.#refusal === undefined) return false;
    // One that ends at its very first offer would end at it again.
    if (!this.#wasRefusedHere) this.#left.delete(this.next ?? "");
    this.#wasRefusedHere = false;
    return this.next !== undefined;
  }
}
