import { SupervisorError } from "../errors.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { initializeText } from "../mcp/envelope.ts";
import { locate, splice, valueAt } from "../mcp/json-span.ts";
import { OFFERED_VERSION, negotiate } from "../mcp/versions.ts";
import { numberOf } from "./own-ids.ts";
import type { Incoming } from "./stdio-pipe.ts";

export interface HandshakeOptions {
  /** What the child is told that its clients declared, as JSON text. */
  capabilities: string;
  clientVersion: string;
}

/** The `initialize` of a legacy child, which the gateway does once for all its sessions. */
export class Handshake {
  readonly #options: HandshakeOptions;
  #agreed: { readonly result: Buffer; readonly version: string } | undefined;
  #onAnswer: ((answer: Incoming) => void) | undefined;

  constructor(options: HandshakeOptions) {
    this.#options = options;
  }

  /** Resolves when the child has agreed. Rejects with UPSTREAM_INVALID for a refusal. */
  async make(write: (message: Buffer) => Promise<void>): Promise<void> {
    const { capabilities, clientVersion } = this.#options;
    const answered = new Promise<Incoming>((resolve) => (this.#onAnswer = resolve));
    await write(Buffer.from(initializeText(OFFERED_VERSION, capabilities, clientVersion)));
    const { raw, value } = await answered;
    const span = locate(raw, ["result"]);
    const version = (value.result as { protocolVersion?: unknown } | undefined)?.protocolVersion;
    if (!Buffer.isBuffer(raw) || span === undefined || typeof version !== "string")
      throw new SupervisorError("UPSTREAM_INVALID", "the child refused to initialize");
    this.#agreed = { result: raw.subarray(span.start, span.end), version };
  }

  /** Whether the answer is the one that is waited for here, and taken. */
  takes(answer: Incoming): boolean {
    if (this.#onAnswer === undefined || numberOf(answer.value.id) !== 0) return false;
    this.#onAnswer(answer);
    this.#onAnswer = undefined;
    return true;
  }

  /** The child's answer as it is for a session that asks with this `initialize`. */
  resultFor(message: ClientMessage): Buffer {
    const { result, version } = this.#agreed!;
    const wanted = message.find(["params", "protocolVersion"]);
    const agreed = negotiate(wanted && valueAt(message.raw, wanted), version);
    return splice(result, [[locate(result, ["protocolVersion"])!, JSON.stringify(agreed)]]);
  }
}
