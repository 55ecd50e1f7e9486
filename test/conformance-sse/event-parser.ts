export interface StreamEvent {
  /** The `event:` field, `message` when there was none. */
  name: string;
  data: string;
}

export type Received = StreamEvent | { comment: string };

const FIELDS = ["event", "data", "id", "retry"];

/**
 * Reads an event stream (WHATWG HTML, 9.2.6) strictly: what a browser would pass over in silence,
 * bytes that are not UTF-8 or fields of unknown names, is kept in `faults`. Lines may end in LF, CR
 * or CRLF, and chunks may be cut anywhere.
 */
export class EventParser {
  readonly faults: string[] = [];
  readonly #take: (received: Received) => void;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #line: string[] = [];
  #data: string[] = [];
  #name = "";
  #skipLf = false;

  constructor(take: (received: Received) => void) {
    this.#take = take;
  }

  push(chunk: Buffer): void {
    try {
      this.#text(this.#decoder.decode(chunk, { stream: true }));
    } catch {
      this.faults.push(`bytes that are not UTF-8 in a chunk of ${chunk.length}`);
    }
  }

  #text(text: string): void {
    let from = 0;
    if (this.#skipLf && text !== "") {
      this.#skipLf = false;
      if (text[0] === "\n") from = 1;
    }
    for (;;) {
      const end = this.#lineEnd(text, from);
      this.#line.push(text.slice(from, end));
      if (end === text.length) return;
      const line = this.#line.join("");
      this.#line = [];
      from = end + 1;
      if (text[end] === "\r") {
        if (from === text.length) this.#skipLf = true;
        else if (text[from] === "\n") from += 1;
      }
      this.#endLine(line);
    }
  }

  #lineEnd(text: string, from: number): number {
    const lf = text.indexOf("\n", from);
    const end = lf === -1 ? text.length : lf;
    // Looked for up to the LF only: a megabyte without CR must not be searched again for every line.
    const cr = text.slice(from, end).indexOf("\r");
    return cr === -1 ? end : from + cr;
  }

  #endLine(line: string): void {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return this.#take({ comment: line.slice(1) });
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
    if (!FIELDS.includes(field))
      this.faults.push(`a field named ${JSON.stringify(field.slice(0, 40))}`);
    return undefined;
  }

  #dispatch(): void {
    const name = this.#name || "message";
    const data = this.#data;
    this.#name = "";
    this.#data = [];
    if (data.length > 0) this.#take({ name, data: data.join("\n") });
  }
}
