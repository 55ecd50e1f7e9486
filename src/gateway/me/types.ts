import type { BrowserSession } from "../../auth/browser-sessions.ts";
import type { AccessKey } from "../../auth/registry.ts";
import type { ListedSession } from "../../sessions/session-list.ts";
import type { StoredToken } from "../../tokens/tokens.ts";
import type { ServerRow } from "../../tools/tools.ts";
import type { Snippet } from "../../web/snippets.ts";
import type { UrlRow } from "../../web/urls.ts";

// What `/me/api/` answers with. Times are epoch ms or null.

/** Who asks, and what their page has. */
export interface SignedIn {
  user: string;
  session: BrowserSession;
  hasLogs: boolean;
  selfService: boolean;
}

export interface OwnServer extends ServerRow {
  description: string | null;
  /** Its session takes settings. */
  hasSettings: boolean;
}

export interface OwnUrls {
  urls: UrlRow[];
  snippets: Snippet[];
}

export interface OwnAccounts {
  selfService: boolean;
  /** Tokens that there are, and those that are wanting; nothing of a token itself. */
  accounts: (StoredToken & { provider: string | null; canConnect: boolean })[];
  /** Servers that a token of the user's own may be set for. */
  settable: string[];
}

export interface OwnKeys {
  keys: AccessKey[];
  /** The one by which the user has signed in. */
  current: string;
}

export interface Browsers {
  sessions: BrowserSession[];
  current: string;
}

export interface Clients {
  sessions: ListedSession[];
}

export interface OwnCalls {
  calls: {
    at: number;
    server: string | null;
    tool: string;
    outcome: string;
    reason: string | null;
    durationMs: number | null;
    who: string | null;
  }[];
}

export interface OwnLogs {
  server: string;
  lines: { at: number; text: string }[];
}
