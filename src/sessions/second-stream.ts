/** The streams of a session: a function that ends each that is open, and when the last one ended. */
export interface Streams {
  readonly streams: Iterable<() => void>;
  readonly streamEndedAt: number;
}

/** How long a server may take to notice that a stream is gone; its answer is the client's from then on. */
const NOTICED_WITHIN_MS = 1000;
const ASK_EVERY_MS = 25;

/**
 * A server that allows one stream a session refuses its client a new one for as long as it takes the
 * old one for alive, which may be for ever where that client's network went without a word. So an
 * older stream is ended, and the server asked again until it has noticed. Servers that allow several
 * refuse nothing, and keep them.
 *
 * Returns what HttpExchange asks about each refusal; `own` is the new stream's entry in
 * `session.streams`. Refused with 409 by the SDKs of TypeScript and Python, with 400 by that of C#,
 * which may mean much else: it counts where another stream was open within the last second.
 */
export function makeRoom(
  session: Streams,
  own: () => void,
): (status: number) => number | undefined {
  let since: number | undefined;
  return (status) => {
    const now = performance.now();
    const older = [...session.streams].filter((end) => end !== own);
    const hadOther =
      since !== undefined || older.length > 0 || now - session.streamEndedAt < NOTICED_WITHIN_MS;
    if (status !== 409 && !(status === 400 && hadOther)) return undefined;
    since ??= now;
    if (now - since >= NOTICED_WITHIN_MS) return undefined;
    for (const end of older) end();
    return ASK_EVERY_MS;
  };
}
