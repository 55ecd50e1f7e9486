import type { NumberedStream, Return } from "./numbered-stream.ts";
import { Returns } from "./returns.ts";
import type { Found, Reading } from "./returns.ts";
import type { Way } from "./relaying.ts";
import { RelayedStream } from "./relayed-stream.ts";
import type { ResumableAnswer } from "./resumable-answer.ts";
import { makeRoom } from "./second-stream.ts";

/** The streams of a relay's session of its own, each of which the client may lose and come back for. */
export class RelayedStreams extends Returns {
  /** The newest last. */
  readonly #own = new Set<RelayedStream>();
  /** `performance.now()` when the last of them ended. */
  streamEndedAt = -Infinity;

  /** Ends each of them. */
  get streams(): (() => void)[] {
    return [...this.#own].map(({ giveWay }) => giveWay);
  }

  /** The client had one, and has none now. */
  get hasLost(): boolean {
    const all = [...this.#own];
    return all.length > 0 && all.every(({ answer }) => !answer.isAttached);
  }

  /** The one on which something of the gateway's own can be said. */
  get open(): ResumableAnswer | undefined {
    const all = [...this.#own].filter(({ canCarry }) => canCarry);
    return (all.findLast(({ answer }) => answer.isAttached) ?? all.at(-1))?.answer;
  }

  /**
   * Answers a GET, and gives what the client reads then; `posts` are the answers under way, `headers`
   * those for the server, which is asked by this `way` where there is one. Throws as `find` does.
   */
  read(
    reading: Reading,
    posts: readonly ResumableAnswer[],
    headers: readonly string[],
    way: Way | undefined,
  ): ResumableAnswer | undefined {
    const all = [...this.#own];
    const found = this.find(reading, [...posts, ...all.map(({ answer }) => answer)]);
    if (found.kind === "done") return undefined;
    if (found.kind === "open" && posts.includes(found.answer)) {
      found.answer.goOn(reading.outlet, found.back);
      return found.answer;
    }
    const kept = found.kind === "own" ? found.stream : undefined;
    const { back } = found;
    const stream = this.#streamFor(found) ?? this.#begin(reading, { kept, back }, headers);
    if (stream.isOpen) {
      // Who does not say what it has goes on behind what it was sent.
      const sent = found.kind === "open" ? back.after : stream.answer.sent;
      stream.answer.goOn(reading.outlet, { ...back, after: Math.max(back.after, sent) });
    }
    if (way?.isOpen !== true) stream.begin();
    else if (stream.isDry) stream.feedFrom(way, makeRoom(this, stream.giveWay));
    return stream.answer;
  }

  /** The client has left a stream, and may come back where that had begun. */
  left(answer: ResumableAnswer): void {
    const stream = [...this.#own].find((one) => one.answer === answer);
    if (stream?.isOpen === false) stream.close();
  }

  /** From now on the server may speak unasked. */
  opened(way: Way): void {
    for (const stream of [...this.#own].toReversed()) stream.feedFrom(way);
  }

  /** Nothing is heard this way any more. */
  ended(way: Way): void {
    for (const stream of this.#own) stream.ended(way);
  }

  end(): void {
    for (const stream of this.#own) stream.end();
  }

  /** That which the client has, or has lost; undefined where it is to have another. */
  #streamFor(found: Exclude<Found, { kind: "done" }>): RelayedStream | undefined {
    const all = [...this.#own];
    if (found.kind === "open") return all.find(({ answer }) => answer === found.answer);
    if (found.stream !== undefined) return undefined;
    return all.findLast(({ answer, isOpen }) => isOpen && !answer.isAttached);
  }

  #begin(
    reading: Reading,
    { kept, back }: { kept: NumberedStream | undefined; back: Return },
    headers: readonly string[],
  ): RelayedStream {
    const answer = this.ownStream(reading, kept, () => stream.close());
    // An id of the gateway's says nothing to a server.
    const at = reading.at === undefined ? -1 : headers.indexOf("last-event-id");
    const stream: RelayedStream = new RelayedStream({
      answer,
      headers: at === -1 ? headers : headers.toSpliced(at, 2),
      onBegun: () => answer.catchUp(back),
      onOver: () => this.#over(stream),
    });
    this.#own.add(stream);
    return stream;
  }

  #over(stream: RelayedStream): void {
    this.#own.delete(stream);
    this.streamEndedAt = performance.now();
  }
}
