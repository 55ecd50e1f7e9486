import type { Socket } from "node:net";
import { readFileSync } from "node:fs";
import { isLocal, networkOf } from "./client-address.ts";

/** Five hundred users behind one NAT, each with a stream and a connection for messages. */
const MAX_PER_NETWORK = 1024;
/** Connections of one address that no valid secret has come over. */
const MAX_STRANGERS = 32;
/** A stranger is left alone for so long: the clients of an office that all come back at once are strangers too. */
const GRACE_MS = 5_000;

interface Stranger {
  readonly socket: Socket;
  readonly openedAt: number;
}

interface Network {
  count: number;
  /** The oldest first, which is the order of a Set. */
  readonly strangers: Set<Stranger>;
}

/** A relayed stream takes a second file, its message a third, and children take theirs. */
function mostByOpenFiles(): number {
  try {
    const soft = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return soft === undefined ? Infinity : Math.floor(Number(soft) / 3);
  } catch {
    // No Linux: the system's own limit is the only one.
    return Infinity;
  }
}

/**
 * Bounds how many connections an address may hold, and how many there are in all.
 *
 * A connection is a stranger until a valid secret has come over it. Where there are too many, a
 * stranger that is there already gives way to the newcomer, the oldest first: who has a secret sends
 * it at once, who only holds the place has been there longest. Only where nobody can give way is the
 * newcomer turned away. Addresses of this machine and of trusted proxies speak for many, so for them
 * the bound over all is the only one.
 */
export class Connections {
  readonly #networks = new Map<string, Network>();
  readonly #strangers = new Set<Stranger>();
  readonly #bySocket = new WeakMap<object, Stranger>();
  /** With the network that each counts in. */
  readonly #sockets = new Map<Socket, string | undefined>();
  /** One for all: a function of its own would be with each for as long as it is open. */
  readonly #closed: (this: Socket) => void;
  readonly #mayHoldMany: (address: string) => boolean;
  readonly #now: () => number;
  readonly #most: number;

  constructor(
    mayHoldMany: (address: string) => boolean,
    { now = () => performance.now(), most = mostByOpenFiles() } = {},
  ) {
    this.#mayHoldMany = mayHoldMany;
    this.#now = now;
    this.#most = most;
    const forget = (socket: Socket): void => this.#forget(socket);
    this.#closed = function () {
      forget(this);
    };
  }

  /** Those that are open now. */
  get open(): { readonly size: number; keys(): Iterable<Socket> } {
    return this.#sockets;
  }

  /** Takes in a new connection, or ends it and returns false. */
  add(socket: Socket): boolean {
    const address = socket.remoteAddress ?? "";
    const isOneOfMany = isLocal(address) || this.#mayHoldMany(address);
    const network = isOneOfMany ? undefined : networkOf(address);
    if (!this.#makeRoom(network)) {
      socket.destroy();
      return false;
    }
    const stranger: Stranger = { socket, openedAt: this.#now() };
    this.#sockets.set(socket, network);
    this.#bySocket.set(socket, stranger);
    this.#strangers.add(stranger);
    if (network !== undefined) {
      const known = this.#networks.get(network) ?? { count: 0, strangers: new Set() };
      this.#networks.set(network, known);
      known.count += 1;
      known.strangers.add(stranger);
    }
    socket.on("close", this.#closed);
    return true;
  }

  /** A valid secret has come over this connection. */
  vouch(socket: object): void {
    const stranger = this.#bySocket.get(socket);
    if (stranger === undefined) return;
    this.#bySocket.delete(socket);
    this.#strangers.delete(stranger);
    const network = this.#sockets.get(stranger.socket);
    if (network !== undefined) this.#networks.get(network)?.strangers.delete(stranger);
  }

  #makeRoom(network: string | undefined): boolean {
    if (this.#sockets.size >= this.#most && !this.#endOldest(this.#strangers, 0)) return false;
    const known = network === undefined ? undefined : this.#networks.get(network);
    if (known === undefined) return true;
    if (known.count >= MAX_PER_NETWORK) return this.#endOldest(known.strangers, 0);
    if (known.strangers.size >= MAX_STRANGERS) this.#endOldest(known.strangers, GRACE_MS);
    return true;
  }

  #endOldest(strangers: ReadonlySet<Stranger>, afterMs: number): boolean {
    const [oldest] = strangers;
    if (oldest === undefined || this.#now() - oldest.openedAt < afterMs) return false;
    oldest.socket.destroy();
    // Not when "close" comes: the next newcomer may be here before it.
    this.#forget(oldest.socket);
    return true;
  }

  #forget(socket: Socket): void {
    this.vouch(socket);
    const network = this.#sockets.get(socket);
    this.#sockets.delete(socket);
    const known = network === undefined ? undefined : this.#networks.get(network);
    if (known === undefined) return;
    known.count -= 1;
    if (known.count === 0) this.#networks.delete(network!);
  }
}
