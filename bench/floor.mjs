// The least that a relay in Node can cost: bytes passed on between raw sockets, with just enough of HTTP
// read to know where a message ends. No keys, sessions, limits, backpressure, or refusals.
//   node bench/floor.mjs --upstream PORT --port PORT
import net from "node:net";
import { parseArgs } from "./echo-core.mjs";

const { upstream, port } = parseArgs({ upstream: "0", port: "0" });
/** Where every socket is read to, one after the other. */
const BUFFER = Buffer.allocUnsafeSlow(64 * 1024);
const LENGTH = "content-length: ";
const idle = [];

/** Where messages end, in a text of one character a byte. */
class Framing {
  #text = "";
  /** What of the body is still to come; Infinity where it comes in chunks. */
  #left = 0;
  #isChunked = false;

  /** True where a message ended with these bytes. */
  isEndedBy(bytes) {
    const text = this.#text === "" ? bytes : this.#text + bytes;
    this.#text = "";
    if (this.#isChunked) return this.#chunks(text);
    if (this.#left > 0) return (this.#left -= text.length) === 0;
    const end = text.indexOf("\r\n\r\n");
    if (end === -1) return this.#keep(text);
    const head = text.slice(0, end + 2).toLowerCase();
    if (head.includes("transfer-encoding: chunked")) {
      this.#isChunked = true;
      return this.#chunks(text.slice(end + 4));
    }
    const at = head.indexOf(LENGTH);
    const length = at === -1 ? 0 : Number.parseInt(head.slice(at + LENGTH.length), 10);
    this.#left = length - (text.length - end - 4);
    return this.#left === 0;
  }

  #chunks(text) {
    let at = 0;
    for (;;) {
      const line = text.indexOf("\r\n", at);
      if (line === -1) return this.#keep(text.slice(at));
      const size = Number.parseInt(text.slice(at, line), 16);
      const next = line + 2 + size + 2;
      if (next > text.length) return this.#keep(text.slice(at));
      if (size === 0) {
        this.#isChunked = false;
        return true;
      }
      at = next;
    }
  }

  #keep(text) {
    this.#text = text;
    return false;
  }
}

function connectUpstream() {
  const framing = new Framing();
  const one = { client: undefined };
  one.socket = net.connect({
    port: Number(upstream),
    host: "127.0.0.1",
    noDelay: true,
    onread: {
      buffer: BUFFER,
      callback: (size) => {
        const text = BUFFER.latin1Slice(0, size);
        one.client?.write(text, "latin1");
        if (!framing.isEndedBy(text)) return true;
        one.client = undefined;
        idle.push(one);
        return true;
      },
    },
  });
  one.socket.on("error", () => undefined);
  one.socket.on("close", () => {
    const at = idle.indexOf(one);
    if (at !== -1) idle.splice(at, 1);
    one.client?.destroy();
  });
  return one;
}

function serve(accepted) {
  // Node's own way takes fresh memory for each read of an accepted socket; only a socket made around
  // its handle takes a buffer of ours. Not a documented way: a bench may, the product may not.
  const { _handle: handle } = accepted;
  Object.assign(accepted, { _handle: null });
  const framing = new Framing();
  let [current, last] = [];
  const callback = (size) => {
    const text = BUFFER.latin1Slice(0, size);
    current ??= idle.pop() ?? connectUpstream();
    current.client = client;
    current.socket.write(text, "latin1");
    if (framing.isEndedBy(text)) {
      last = current;
      current = undefined;
    }
    return true;
  };
  const client = new net.Socket({ handle, onread: { buffer: BUFFER, callback } });
  client.setNoDelay(true);
  client.on("error", () => undefined);
  client.on("end", () => client.destroy());
  client.on("close", () => {
    if (last?.client === client) last.socket.destroy();
    current?.socket.destroy();
  });
  client.read(0);
}

const server = net.createServer({ pauseOnConnect: true }, serve);
server.listen(Number(port), "127.0.0.1", 16_384, () =>
  process.stderr.write(`ready port=${server.address().port} pid=${process.pid}\n`),
);
