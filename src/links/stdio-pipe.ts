import type { Readable, Writable } from "node:stream";
import type { SupervisorError } from "../errors.ts";
import type { Message } from "../mcp/envelope.ts";
import { elementsOf, isArray } from "../mcp/json-span.ts";
import { MessageAssembler } from "../mcp/message-assembler.ts";
import type { Text } from "../mcp/long-text.ts";
import { LineIntake } from "../platform/line-intake.ts";
import { OutputShare } from "../platform/output-share.ts";
import { ChildInput } from "./child-input.ts";

/** One message of the child, as bytes and as JSON.parse sees it. */
export interface Incoming {
  readonly raw: Text;
  readonly value: IncomingValue;
}

export interface IncomingValue {
  readonly id?: string | number | null;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly error?: { readonly code?: number; readonly message?: unknown; readonly data?: unknown };
}

export interface ChildPipes {
  stdin: Writable;
  stdout: Readable;
  /** What the child may write; a share of its own where none is given. */
  output?: OutputShare;
  /** The number before the first by which the child is asked anything; 0 unless others have asked it before. */
  idsAfter?: number;
  /** The child wrote what is no message; `what` says so without quoting it. */
  onFault: (what: string, line: Buffer | undefined) => void;
  /** Something of ours threw over what the child wrote or was to be told: this generation of it has to end. Nothing of it is read any more. */
  onBroken: (failure: SupervisorError) => void;
}

export interface StdioPipeOptions extends ChildPipes {
  onMessage: (incoming: Incoming) => void;
  /** What the child wrote as one message broke a limit, and is not there any more. */
  onDropped: (message: Message, error: SupervisorError) => void;
}

/** The two pipes of a stdio child: one JSON-RPC message a line (MCP, stdio transport). */
export class StdioPipe {
  readonly #options: StdioPipeOptions;
  readonly #share: OutputShare;
  readonly #intake: LineIntake;
  readonly #input: ChildInput;

  constructor(options: StdioPipeOptions) {
    this.#options = options;
    this.#input = new ChildInput(options);
    const assembler = new MessageAssembler({
      text: this.#read,
      long: (text) => this.#options.onMessage({ raw: text, value: text.seen!.value }),
      dropped: (messages, error) => this.#dropped(messages, error),
      noMessage: (head) => options.onFault("a long line that is no JSON-RPC message", head),
    });
    this.#share = options.output ?? new OutputShare();
    const { stdout: stream, onBroken } = options;
    this.#intake = new LineIntake({ stream, sink: assembler, share: this.#share, onBroken });
    options.stdout.once("close", () => assembler.reset());
  }

  /** Reads nothing more of the child, until `resume`. */
  pause(): void {
    this.#intake.pause();
  }

  resume(): void {
    this.#intake.resume();
  }

  /** The child was asked for the message of so many bytes: what comes unasked alone is held against it. */
  wasAsked(bytes: number): void {
    this.#share.refund(bytes);
  }

  /** See `ChildInput.write`. */
  write(message: Buffer, id?: number): Promise<void> {
    return this.#input.write(message, id);
  }

  /** See `ChildInput.unread`. */
  get unread(): ReadonlySet<number> {
    return this.#input.unread;
  }

  /** The child has ended: it is told nothing more. */
  end(): void {
    this.#input.end();
  }

  #dropped(messages: readonly Message[], error: SupervisorError): void {
    const { onDropped, onFault } = this.#options;
    onFault(`a line that was dropped: ${error.message}`, undefined);
    for (const message of messages) onDropped(message, error);
  }

  readonly #read = (line: Buffer): void => {
    if (isArray(line)) return this.#readBatch(line);
    const value = this.#parse(line);
    if (value !== undefined) this.#give(line, value);
  };

  /** It has no more parts than a batch may have (MessageAssembler). */
  #readBatch(line: Buffer): void {
    const spans = elementsOf(line);
    if (spans === undefined) return this.#options.onFault("a line that is not JSON", line);
    for (const { start, end } of spans) {
      const part = line.subarray(start, end);
      const value = this.#parse(part);
      if (value !== undefined) this.#give(part, value);
    }
  }

  #parse(text: Buffer): unknown {
    try {
      return JSON.parse(text.toString("utf8"));
    } catch {
      this.#options.onFault("a line that is not JSON", text);
      return undefined;
    }
  }

  #give(raw: Buffer, value: unknown): void {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.#options.onFault("a line that is no JSON-RPC message", raw);
      return;
    }
    this.#options.onMessage({ raw, value });
  }
}
