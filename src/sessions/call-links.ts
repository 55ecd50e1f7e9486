import { guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { ServerDef } from "../config/config.ts";
import type { Instance } from "../instances/supervisor.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { CallFront } from "./call-front.ts";
import type { Place } from "./serving.ts";
import type { SessionOptions, SessionSettings } from "./session-options.ts";

/** To which of a user's servers, and what the caller said of the session where it is part of the daemon. */
export interface CallTarget {
  readonly instance: Instance;
  readonly server: ServerDef;
  readonly settings: SessionSettings | undefined;
}

export interface CallLinksOptions {
  /** What each link begins with. */
  readonly hello: ClientMessage;
  readonly ttlMs: number;
  readonly optionsFor: (target: CallTarget & { readonly holder: typeof HOUSE }) => SessionOptions;
  readonly choose: (target: CallTarget, messages: readonly ClientMessage[]) => Place;
  readonly discard: (instance: Instance | undefined) => void;
}

/** No client's session: whose calls go over it is said by each call. */
const HOUSE = { user: "", issuer: "tools", credentialId: "" };

/** A link that is in use, and how to say that it is not any more. */
export interface HeldLink {
  readonly link: CallFront;
  readonly release: () => void;
}

const gone = (): SupervisorError =>
  new SupervisorError("SESSION_LOST", "the server was taken away while the call was under way");

/** One link for each user and server over which tools are called, kept until nobody has used it for `sessionTtl`. */
export class CallLinks {
  readonly #options: CallLinksOptions;
  readonly #links = new Map<string, CallFront>();
  /** Of callers who have settings of their own: for one call each. */
  readonly #single = new Set<CallFront>();

  constructor(options: CallLinksOptions) {
    this.#options = options;
  }

  /** What each link begins with. */
  get hello(): ClientMessage {
    return this.#options.hello;
  }

  /** Those that are open. */
  get count(): number {
    return this.#links.size + this.#single.size;
  }

  /** The link to this server for one call, begun where there is none. Throws nothing that a new link would not. */
  hold(target: CallTarget): HeldLink {
    const { settings } = target;
    if (settings?.mark !== undefined) {
      const single = this.#open(target);
      this.#single.add(single);
      return heldBy(single, () => this.#single.delete(single) && this.#close(single));
    }
    const key = nameOf(target);
    const known = this.#links.get(key);
    const isUsable = known?.session.instance === target.instance && !known.session.isLost;
    const link = isUsable ? known : this.#open(target);
    if (known !== undefined && !isUsable) this.#close(known);
    this.#links.set(key, link);
    return heldBy(link, () => {});
  }

  /** The link that there is. */
  find(target: CallTarget): CallFront | undefined {
    return this.#links.get(nameOf(target));
  }

  closeUser(user: string): void {
    this.#closeWhere(({ session }) => session.instance.ref.user === user);
  }

  /** Those of the users whom it is closed to, which are all unless said. */
  closeServer(server: string, isOut = (_user: string): boolean => true): void {
    this.#closeWhere(
      ({ session: { instance } }) => instance.ref.server === server && isOut(instance.ref.user),
    );
  }

  closeAll(): void {
    this.#closeWhere(() => true);
  }

  /** At the end of the daemon: who waits is told why. */
  giveUp(error: SupervisorError): void {
    for (const link of [...this.#links.values(), ...this.#single]) link.session.giveUp(error);
  }

  /** Closes those that nobody has used for their time to live. */
  expire(): void {
    const oldest = performance.now() - this.#options.ttlMs;
    this.#closeWhere(({ calls, session }) => calls === 0 && session.lastUsedAt < oldest);
  }

  #open(target: CallTarget): CallFront {
    const { hello, optionsFor, choose } = this.#options;
    const place = choose(target, [hello]);
    return new CallFront(optionsFor({ ...target, holder: HOUSE }), place, hello);
  }

  #closeWhere(matches: (link: CallFront) => boolean): void {
    for (const [key, link] of this.#links) {
      if (!matches(link)) continue;
      this.#links.delete(key);
      this.#close(link);
    }
    for (const link of this.#single)
      if (matches(link) && this.#single.delete(link)) this.#close(link);
  }

  /** What goes wrong with one is not to keep the others open. */
  #close(link: CallFront): void {
    guarded(
      "session",
      () => {},
      () => {
        link.close(gone());
        this.#options.discard(link.session.serving?.instance);
      },
    )();
  }
}

const nameOf = ({ instance: { ref }, settings }: CallTarget): string =>
  `${ref.user}/${ref.server}/${settings?.caller.language ?? ""}`;

function heldBy(link: CallFront, over: () => void): HeldLink {
  link.calls += 1;
  const release = (): void => {
    link.calls -= 1;
    over();
  };
  return { link, release };
}
