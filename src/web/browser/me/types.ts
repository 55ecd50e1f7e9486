// The JSON of /me/api/. Times are epoch ms or null.

export interface Session {
  readonly user: string;
  readonly hasLogs: boolean;
  readonly selfService: boolean;
}

export interface Server {
  /** What people call it. */
  readonly name: string;
  /** What addresses and calls name it by. */
  readonly slug: string;
  readonly type: string;
  readonly description?: string | null;
  readonly state: string;
  /** Null where they are not known. */
  readonly tools: readonly string[] | null;
  /** Why it is down. */
  readonly error?: string;
  /** Its session takes settings. */
  readonly hasSettings: boolean;
}

export interface Urls {
  readonly urls: readonly {
    readonly server: string;
    readonly sse: string;
    readonly http: string;
  }[];
  readonly snippets: readonly Snippet[];
}

export interface Snippet {
  readonly client: string;
  readonly server: string;
  readonly where: string;
  readonly text: string;
}

export interface Key {
  readonly id: string;
  readonly prefix: string;
  readonly label: string | null;
  readonly createdAt: number;
  readonly expiresAt: number | null;
}

export interface Account {
  /** Null for the token that goes to every server without one of its own. */
  readonly server: string | null;
  readonly provider: string | null;
  readonly canConnect: boolean;
  readonly fingerprint: string | null;
  readonly setAt: number | null;
  readonly expiresAt: number | null;
  readonly grant: {
    readonly refreshedAt: number | null;
    readonly lastResult: string | null;
    readonly needsReauth: { readonly since: number; readonly reason: string } | null;
  } | null;
}

export interface Accounts {
  readonly selfService: boolean;
  readonly accounts: readonly Account[];
  /** Servers that a token of the user's own may be set for. */
  readonly settable: readonly string[];
}

export interface Tool {
  readonly name: string;
  readonly title?: unknown;
  readonly description?: unknown;
  readonly inputSchema?: unknown;
  readonly annotations?: Readonly<Record<string, unknown>>;
}

export interface CallResult {
  readonly server: string;
  readonly result: Readonly<Record<string, unknown>>;
}

export interface BrowserSession {
  readonly id: string;
  readonly client: string;
  readonly keyLabel: string | null;
  readonly createdAt: number;
  readonly usedAt: number;
}

/** The session of a client of the user's. */
export interface ClientSession {
  readonly id: string;
  readonly server: string;
  readonly front: string;
  readonly client: { readonly name: string; readonly version: string } | null;
  readonly lastUsedAt: number;
  /** It has a stream open, or a request under way. */
  readonly attached: boolean;
}

export interface Call {
  readonly at: number;
  readonly server: string | null;
  readonly tool: string;
  readonly outcome: string;
  readonly reason: string | null;
  readonly durationMs: number | null;
  readonly who: string | null;
}

export interface Line {
  readonly at: number;
  readonly text: string;
}
