import type { SupervisorError } from "../errors.ts";
import type { PostAnswer } from "../links/link.ts";
import type { ResponseHeaders } from "../links/http1/client.ts";
import type { EventPart } from "../mcp/sse.ts";
import type { ExchangeOwner, HttpExchange } from "./http-exchange.ts";

/** A server has little to say to what is no request, and to one that it refuses. */
const MAX_BYTES = 64 * 1024;

/** An answer that is looked at before it goes anywhere. What is longer than it may be is cut. */
export class Gathered implements ExchangeOwner {
  readonly #whole: Promise<PostAnswer>;
  #settle!: { resolve: (answer: PostAnswer) => void; reject: (error: SupervisorError) => void };
  #exchange: HttpExchange | undefined;
  #status = 0;
  #headers: ResponseHeaders = {};
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor() {
    this.#whole = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
  }

  /** Resolves with the answer to this exchange, which it sends. Rejects as the exchange fails. */
  async of(exchange: HttpExchange): Promise<PostAnswer> {
    this.#exchange = exchange;
    exchange.send();
    return await this.#whole;
  }

  abandon(error: SupervisorError): void {
    this.#exchange?.abort();
    this.#settle.reject(error);
  }

  onHead(status: number, headers: ResponseHeaders): boolean {
    this.#status = status;
    this.#headers = headers;
    return true;
  }

  onPart({ bytes }: EventPart): void {
    this.onPiece(bytes);
  }

  onPiece(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (this.#bytes <= MAX_BYTES) this.#pieces.push(bytes);
  }

  part(): boolean {
    return true;
  }

  onceDrained(): void {}

  onEnd(): void {
    this.#settle.resolve(this.answer);
  }

  get answer(): PostAnswer {
    return { status: this.#status, headers: this.#headers, body: Buffer.concat(this.#pieces) };
  }

  onFail(error: SupervisorError): void {
    this.#settle.reject(error);
  }
}
