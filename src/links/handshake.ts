import { SupervisorError } from "../errors.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { initializeText } from "../mcp/messages.ts";
import { locate, splice, valueAt } from "../mcp/json-span.ts";
import { negotiate } from "../mcp/versions.ts";
import type { Offers } from "./offers.ts";
import { numberOf } from "./own-ids.ts";
import type { OwnIds } from "./own-ids.ts";
import type { Incoming } from "./stdio-pipe.ts";

export interface HandshakeOptions {
  /** What the child is told that its clients declared, as JSON text. */
  capabilities: string;
  clientVersion: string;
}

/** The result of an `initialize` as it is for a client that asks with this one; see `negotiate`. */
export function negotiated(result: Buffer, initialize: ClientMessage): Buffer {
  const span = locate(result, ["protocolVersion"]);
  const spoken = span && valueAt(result, span);
  if (span === undefined || typeof spoken !== "string") return result;
  const wanted = initialize.find(["params", "protocolVersion"]);
  const agreed = negotiate(wanted && valueAt(initialize.raw, wanted), spoken);
  return splice(result, [[span, JSON.stringify(agreed)]]);
}

/** The `initialize` of a legacy child, which the gateway does once for all its sessions. */
export class Handshake {
  readonly #options: HandshakeOptions;
  #result: Buffer | undefined;
  readonly #ids: OwnIds;
  #waiting: { readonly id: number; readonly take: (answer: Incoming) => void } | undefined;

  constructor(options: HandshakeOptions, ids: OwnIds) {
    this.#options = options;
    this.#ids = ids;
  }

  /** Resolves when the child has agreed. Rejects with UPSTREAM_INVALID for one that refuses all that it is offered. */
  async make(offers: Offers, write: (message: Buffer) => Promise<void>): Promise<void> {
    for (;;) {
      const version = offers.next;
      if (version === undefined) throw offers.refusal!;
      const { raw, value } = await this.#offer(version, write);
      const span = locate(raw, ["result"]);
      const agreed = (value.result as { protocolVersion?: unknown } | undefined)?.protocolVersion;
      if (Buffer.isBuffer(raw) && span !== undefined && typeof agreed === "string") {
        this.#result = raw.subarray(span.start, span.end);
        return;
      }
      if (typeof value.error !== "object" || value.error === null)
        throw new SupervisorError(
          "UPSTREAM_INVALID",
          "the child's answer to initialize has no version",
        );
      offers.refused(version, value.error);
    }
  }

  /** Whether the answer is the one that is waited for here, and taken. */
  takes(answer: Incoming): boolean {
    const waiting = this.#waiting;
    if (waiting === undefined || numberOf(answer.value.id) !== waiting.id) return false;
    this.#waiting = undefined;
    waiting.take(answer);
    return true;
  }

  async #offer(version: string, write: (message: Buffer) => Promise<void>): Promise<Incoming> {
    const { capabilities, clientVersion } = this.#options;
    const id = this.#ids.next();
    const answered = new Promise<Incoming>((take) => (this.#waiting = { id, take }));
    await write(Buffer.from(initializeText(id, version, capabilities, clientVersion)));
    return await answered;
  }

  /** It was made before, with that answer. */
  resume(result: Buffer): void {
    this.#result = result;
  }

  /** The child's answer, once it has agreed. */
  get result(): Buffer {
    return this.#result!;
  }
}
