import { hash } from "node:crypto";
import { BY_KEY, isSamePrincipal } from "../auth/principal.ts";
import type { Credential } from "../auth/principal.ts";
import type { SessionHead, SessionOwner, SessionSelector } from "../store/store.ts";
import type { MemoryKeeper } from "./session-memory.ts";
import type { Session } from "./session.ts";

/** What becomes of what a client says: passed on as it is or carried over, over Streamable HTTP, or HTTP with SSE. */
export type FrontKind = "sse" | "bridge" | "relay";

/** Whether the client of a session has a stream open, or a request under way. */
export interface Reader {
  readonly isHere: boolean;
}

/** What does not change of a session. */
export interface RecordOptions {
  readonly session: Session;
  readonly reader: Reader;
  readonly front: FrontKind;
  /** See `shapeOf`. */
  readonly shape: string;
  /** A digest of what the client calls itself; empty where nobody asks for it. */
  readonly agent: string;
  /** The sessions of a stateful server end with it. */
  readonly mayComeBack: boolean;
}

/** Who writes records down. */
interface Keeper {
  begin(record: SessionRecord): void;
  note(record: SessionRecord): void;
  end(record: SessionRecord): void;
  /** Sessions are lost because the daemon ends, which they outlive. */
  readonly isResting: boolean;
}

export const hashOf = (id: string): string => hash("sha256", id, "hex");

export const ownerOf = ({ user, issuer, credentialId }: Credential): SessionOwner => ({
  user,
  issuer,
  credential: issuer === BY_KEY ? credentialId : "",
});

/** What a client is known by that calls itself so. */
export const agentOf = (text: string | undefined): string =>
  text === undefined ? "" : hash("sha256", text, "base64url");

/** The sessions of a credential, a user or a server, or of a user with a server. */
export type Which = Credential | Exclude<SessionSelector, SessionOwner>;

export const selectorOf = (which: Which): SessionSelector =>
  "issuer" in which ? ownerOf(which) : which;

/** Whether the session is one of them. */
export function isOf({ holder, instance }: Session, which: Which): boolean {
  if ("issuer" in which) return isSamePrincipal(holder, which);
  const { user = holder.user, server = instance.ref.server } = which;
  return user === holder.user && server === instance.ref.server;
}

/** A row that says whose it is has that right: the vault seals by it. */
export const placeOf = ({ user, server, hash: of }: SessionHead): string =>
  `sessions|${user}|${server}|${of}`;

/** Epoch ms of a `performance.now()`. */
const epochOf = (at: number): number => Math.round(Date.now() - (performance.now() - at));

/** What is written down of one session for as long as it is in memory. */
export class SessionRecord implements MemoryKeeper {
  readonly options: RecordOptions;
  readonly hash: string;
  /** Epoch ms. */
  createdAt = Date.now();
  detachedAt: number | null = null;
  /** There is a row of it. */
  isStored = false;
  /** It knows what is written nowhere yet. */
  hasChanged = false;
  isOver = false;
  /** `session.lastUsedAt`, as it was written. */
  writtenUse = 0;
  readonly #keeper: Keeper;

  constructor(keeper: Keeper, options: RecordOptions) {
    this.#keeper = keeper;
    this.options = options;
    this.hash = hashOf(options.session.id);
  }

  /** See `Reader`. */
  get isAttached(): boolean {
    return this.options.reader.isHere;
  }

  get session(): Session {
    return this.options.session;
  }

  get usedAt(): number {
    const { inFlight, lastUsedAt } = this.session;
    return inFlight > 0 ? Date.now() : epochOf(lastUsedAt);
  }

  /** What its row says beside what it knows. */
  get head(): SessionHead {
    const { holder, instance, mark = null } = this.session;
    const { front, shape, agent } = this.options;
    const { createdAt, usedAt, detachedAt } = this;
    const times = { createdAt, usedAt, detachedAt };
    const { server } = instance.ref;
    return { hash: this.hash, ...ownerOf(holder), server, shape, front, agent, mark, ...times };
  }

  begun(): void {
    this.#keeper.begin(this);
  }

  changed(): void {
    if (this.hasChanged || !this.isStored) return;
    this.hasChanged = true;
    this.#keeper.note(this);
  }

  lost(): void {
    if (!this.#keeper.isResting) this.#keeper.end(this);
  }

  left(): void {
    this.detachedAt = Date.now();
    this.#keeper.note(this);
  }

  cameBack(): void {
    this.detachedAt = null;
    this.#keeper.note(this);
  }

  end(): void {
    this.#keeper.end(this);
  }
}
