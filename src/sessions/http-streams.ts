import { Returns } from "./returns.ts";
import type { Found, Reading } from "./returns.ts";
import type { ResumableAnswer } from "./resumable-answer.ts";

/** The streams of a bridged Streamable HTTP session's own, each of which the client may lose and come back for. */
export class HttpStreams extends Returns {
  /** The newest last: MCP allows several, and each message goes to one (2025-11-25, transports). */
  readonly #own: ResumableAnswer[] = [];
  /** The one that the client has lost, while it has no other. */
  #lost: ResumableAnswer | undefined;

  /** Where what belongs to no POST goes out. */
  get open(): ResumableAnswer | undefined {
    return this.#own.at(-1);
  }

  /** The client had one, and has none now. */
  get hasLost(): boolean {
    return this.#lost !== undefined;
  }

  /** Answers a GET, and gives what the client reads then; `posts` are the answers under way. Throws as `find` does. */
  read(reading: Reading, posts: readonly ResumableAnswer[]): ResumableAnswer | undefined {
    const lost = this.#lost === undefined ? [] : [this.#lost];
    const found = this.find(reading, [...this.#own, ...lost, ...posts]);
    if (found.kind === "done") return undefined;
    const answer = this.#answerFor(found, reading);
    answer.goOn(reading.outlet, found.back);
    if (posts.includes(answer)) return answer;
    this.#lost = undefined;
    if (!this.#own.includes(answer)) this.#own.push(answer);
    return answer;
  }

  /** The client has left a stream. */
  left(stream: ResumableAnswer): void {
    const index = this.#own.indexOf(stream);
    if (index === -1) return;
    this.#own.splice(index, 1);
    if (this.#own.length === 0) this.#lost = stream;
  }

  /** It has not come back for it, and may miss what is said from now on. */
  forgetLost(): void {
    this.#lost = undefined;
  }

  end(): void {
    for (const stream of this.#own) stream.end();
  }

  #answerFor(found: Exclude<Found, { kind: "done" }>, reading: Reading): ResumableAnswer {
    return found.kind === "open" ? found.answer : this.ownStream(reading, found.stream, () => {});
  }
}
