import type { Caller } from "../builtins/builtin.ts";
import type { Credential } from "../auth/principal.ts";
import type { ServerDef } from "../config/config.ts";
import type { Instance, Live } from "../instances/supervisor.ts";
import type { Link, LinkEvents } from "../links/link.ts";
import type { SupervisorError } from "../errors.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Survival } from "../telemetry/survival.ts";
import type { Attachment } from "./attachment.ts";
import type { Backends } from "./backends.ts";
import type { CallWatch } from "./calls.ts";
import type { Outlet } from "./outlet.ts";
import type { Resend } from "./resend.ts";
import type { SessionShowings } from "./showings.ts";

/** Opens a link to a generation that is ready; to a stdio child at once. Rejects with UPSTREAM_*. */
export type OpenLink = (live: Live, events: LinkEvents) => Link | Promise<Link>;
/** Opens a link to a generation that is ready, for a session's place there; to a stdio child at once. Rejects with UPSTREAM_*. */
export type Connect = (live: Live, events: LinkEvents, at: Attachment) => Link | Promise<Link>;

/** Who wants to know what becomes of a POST. */
export type Watch = CallWatch | undefined;
/** Is called with what is about to go out. */
export type OnSending = (messages: readonly ClientMessage[]) => void;

/** What a client said of its session beside the messages. */
export interface SessionSettings {
  readonly caller: Caller;
  /** A keyed digest of what it set, undefined where it set nothing: a request that says otherwise is none of the session's. */
  readonly mark: string | undefined;
}

/** Whose session, and to which server. */
export interface Whose {
  readonly holder: Credential;
  /** The instance whose path the client came by. */
  readonly instance: Instance;
  readonly server: ServerDef;
  /** Of a server that is part of the daemon. */
  readonly settings?: SessionSettings | undefined;
}

export interface SessionOptions {
  /** The one that its client knows, where it was begun before; else it is given one. */
  readonly id?: string | undefined;
  readonly holder: Credential;
  /** See `SessionSettings.mark`. */
  readonly mark?: string | undefined;
  /** The instance whose path the client came by. */
  readonly instance: Instance;
  /** What its server shows while it sleeps; nothing where it is not given. */
  readonly showings?: SessionShowings;
  /** The sessions of a stateful server end with its child. */
  readonly isStateful: boolean;
  /** Where its server is replaced, it stays with the old generation for as long as that is there. */
  readonly staysBehind: boolean;
  /** What is sent again to the next generation. */
  readonly resend: Resend;
  /** How long the next generation may take to hear what the session was about. */
  readonly patienceMs: number;
  readonly backends: Backends;
  readonly connect: Connect;
  /** Who is told how sessions fare when their servers end. */
  readonly survival?: Survival | undefined;
}

/** A request of a client that is under way. */
export interface GivesUp {
  /** The server that it goes on hearing for as long as there is one. */
  readonly listensTo?: string | undefined;
  /** Ends it, and tells its client why. */
  giveUp(error: SupervisorError): void;
}

export interface SseOpening extends Whose {
  readonly outlet: Outlet;
  /** Of the stream's own request. */
  readonly requestId: string;
  /** What the client calls itself (User-Agent). */
  readonly agent?: string | undefined;
}
