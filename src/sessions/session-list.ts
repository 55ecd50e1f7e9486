import { SupervisorError } from "../errors.ts";
import type { StoredSession } from "./records.ts";
import type { SessionRecord } from "./session-record.ts";
import { initializeIn } from "./session-memory.ts";
import type { Sessions } from "./sessions.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { SMALL_BODY_BYTES } from "../mcp/client-body.ts";

/** Digits of the hash of a session's id, by which admins name it. */
const HANDLE_DIGITS = 8;
const HANDLE = /^[0-9a-f]{8,64}$/;
const MAX_HANDLES = 1_000;
const MAX_NAME = 80;

type Listed = Pick<Sessions, "records" | "closeWhere">;

/** A session as an admin sees it. Times are epoch ms. */
export interface ListedSession {
  /** The first 8 hex digits of the hash of its id. */
  id: string;
  server: string;
  front: "sse" | "http";
  /** What the client calls itself; null before it has said that. */
  client: { name: string; version: string } | null;
  since: number;
  lastUsedAt: number;
  /** Its client has a stream open, or a request under way. */
  attached: boolean;
  /** Of the child that it is on; null while it is on none. */
  generation: number | null;
  /** Calls under way. */
  inFlight: number;
}

/** A session that was ended. */
export interface EndedSession {
  id: string;
  user: string;
  server: string;
}

const handleOf = (hash: string): string => hash.slice(0, HANDLE_DIGITS);
const frontOf = (front: string): ListedSession["front"] => (front === "sse" ? "sse" : "http");

/** A user's sessions, the one that was used last first; those that are in the database alone among them. */
export function listSessions({ records }: Listed, user: string): ListedSession[] {
  if (records === undefined) return [];
  const live = [...records.live].filter(({ session }) => session.holder.user === user);
  const rows = [...live.map(ofRecord), ...records.list(user).map(ofStored)];
  return rows.toSorted((one, other) => other.lastUsedAt - one.lastUsedAt);
}

/** The handles of all sessions, as far as somebody would look through them. */
export const handlesOf = ({ records }: Listed): string[] =>
  (records?.startingWith("", MAX_HANDLES) ?? []).map(({ hash }) => handleOf(hash));

/**
 * Ends the session of this handle for good; more digits of the hash may follow. SESSION_NOT_FOUND for
 * none, REQUEST_INVALID where it is not the only one.
 */
export function endSession(sessions: Listed, id: string): EndedSession {
  const { records } = sessions;
  const found = HANDLE.test(id) ? (records?.startingWith(id, 2) ?? []) : [];
  const [one, ...others] = found;
  if (one === undefined)
    throw new SupervisorError(
      "SESSION_NOT_FOUND",
      "no such session; `session list NAME` shows those of a user",
    );
  if (others.length > 0)
    throw new SupervisorError("REQUEST_INVALID", "more than one session begins with these digits");
  const { hash, user, server, record } = one;
  if (record === undefined) records!.endStored(hash);
  else sessions.closeWhere((session) => session === record.session);
  return { id: handleOf(hash), user, server };
}

function ofRecord(record: SessionRecord): ListedSession {
  const { hash, session, createdAt, usedAt, options } = record;
  const { initialize } = session.memory;
  return {
    id: handleOf(hash),
    server: session.instance.ref.server,
    front: frontOf(options.front),
    client: initialize === undefined ? null : clientIn(initialize),
    since: createdAt,
    lastUsedAt: usedAt,
    attached: record.isAttached,
    generation: session.live?.generation ?? null,
    inFlight: session.inFlight,
  };
}

function ofStored(stored: StoredSession): ListedSession {
  const { hash, server, front, memory, createdAt, usedAt } = stored;
  return {
    id: handleOf(hash),
    server,
    front: frontOf(front),
    client: clientIn(initializeIn(memory)),
    since: createdAt,
    lastUsedAt: usedAt,
    attached: false,
    generation: null,
    inFlight: 0,
  };
}

/** Strangers' text, which is cut. */
function clientIn({ raw }: ClientMessage): ListedSession["client"] {
  if (raw.length > SMALL_BODY_BYTES) return null;
  const { params } = JSON.parse(raw.toString()) as { params?: { clientInfo?: unknown } };
  const { name, version } = (params?.clientInfo ?? {}) as Record<string, unknown>;
  if (typeof name !== "string") return null;
  const said = typeof version === "string" ? version : "";
  return { name: name.slice(0, MAX_NAME), version: said.slice(0, MAX_NAME) };
}
