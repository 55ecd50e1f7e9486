/**
 * The schema, step by step: step n takes a database from version n to n + 1. A step that has been
 * released is never changed, only followed by another one.
 *
 * Times are epoch ms. Ids of users are never given out twice (AUTOINCREMENT), so that nothing left
 * over from a removed user can fall to a new one.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE users (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL UNIQUE,
    state      TEXT    NOT NULL CHECK (state IN ('enabled', 'disabled', 'removing')),
    created_at INTEGER NOT NULL
  ) STRICT;

  -- hash: SHA-256 of the key. prefix: its first characters, to know it by.
  CREATE TABLE access_keys (
    id         TEXT    PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash       BLOB    NOT NULL UNIQUE,
    prefix     TEXT    NOT NULL,
    label      TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX access_keys_of_user ON access_keys (user_id);

  -- server: '' for the user's general token. box: the token, sealed by the vault.
  CREATE TABLE tokens (
    user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    server      TEXT    NOT NULL,
    box         BLOB    NOT NULL,
    fingerprint TEXT    NOT NULL,
    set_at      INTEGER NOT NULL,
    expires_at  INTEGER,
    PRIMARY KEY (user_id, server)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Who did what. server, who, reason and the numbers are there where they mean something.
  CREATE TABLE audit (
    id          INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('call', 'admin', 'refusal')),
    user        TEXT,
    server      TEXT,
    request_id  TEXT    NOT NULL,
    who         TEXT,
    what        TEXT    NOT NULL,
    outcome     TEXT    NOT NULL,
    reason      TEXT,
    duration_ms REAL,
    bytes_in    INTEGER,
    bytes_out   INTEGER
  ) STRICT;
  `,
  `
  -- Accounts of the machine that children run as. By name: a home that is kept outlasts its user's row.
  CREATE TABLE uids (
    uid    INTEGER PRIMARY KEY,
    user   TEXT    NOT NULL,
    server TEXT    NOT NULL,
    UNIQUE (user, server)
  ) STRICT;
  `,
  `
  -- What a user's child last showed of itself, for while it sleeps. A later one has a higher id.
  -- revision, key: digests of what it stands for. bytes: of the box, which the vault has sealed.
  CREATE TABLE manifests (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    server   TEXT    NOT NULL,
    revision TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    bytes    INTEGER NOT NULL,
    box      BLOB    NOT NULL,
    UNIQUE (user_id, server, revision, key)
  ) STRICT;
  CREATE INDEX manifests_of_server ON manifests (server, revision, bytes);
  `,
  `
  -- Refresh tokens: where a user's token for a server comes from. box: the refresh token, which the vault
  -- has sealed for this generation of it. lifetime_ms: of the access token, which is a row of tokens.
  CREATE TABLE grants (
    user_id            INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    server             TEXT    NOT NULL,
    provider           TEXT    NOT NULL,
    generation         INTEGER NOT NULL,
    box                BLOB    NOT NULL,
    refresh_expires_at INTEGER,
    lifetime_ms        INTEGER,
    state              TEXT    NOT NULL CHECK (state IN ('idle', 'inflight', 'needs_reauth')),
    since              INTEGER NOT NULL,
    reason             TEXT,
    refreshed_at       INTEGER,
    outcome            TEXT,
    outcome_at         INTEGER,
    used_at            INTEGER,
    PRIMARY KEY (user_id, server)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- full_name, email: for people who look for a user; they let nobody in. last_seen_at: of the last call of a tool.
  ALTER TABLE users ADD COLUMN full_name TEXT;
  ALTER TABLE users ADD COLUMN email TEXT;
  ALTER TABLE users ADD COLUMN last_seen_at INTEGER;
  UPDATE users SET last_seen_at = seen.at
    FROM (SELECT user, max(at) AS at FROM audit WHERE kind = 'call' GROUP BY user) AS seen
    WHERE seen.user = users.name AND seen.at >= users.created_at;
  `,
  `
  -- Who was told what. event: of a trouble that comes again it is another one. due_at: when it is told next.
  CREATE TABLE notices (
    channel TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    about   TEXT    NOT NULL,
    event   INTEGER NOT NULL,
    tries   INTEGER NOT NULL,
    due_at  INTEGER NOT NULL,
    PRIMARY KEY (channel, kind, about)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Secrets of the vault's own, made once. box: sealed by the vault.
  CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    box  BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- What Feishu gave that may be given out again, until then. app: which it was got with. key: a keyed
  -- digest of all else that it was got with. box: sealed by the vault.
  CREATE TABLE feishu_tokens (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    server  TEXT    NOT NULL,
    app     TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    box     BLOB    NOT NULL,
    until   INTEGER NOT NULL,
    PRIMARY KEY (user_id, server, app, key)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- An account that a browser is about to connect. state, browser: SHA-256 of what was told to the provider
  -- and to the browser.
  CREATE TABLE connects (
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    server     TEXT    NOT NULL,
    provider   TEXT    NOT NULL,
    state      BLOB    NOT NULL UNIQUE,
    browser    BLOB    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, server)
  ) STRICT, WITHOUT ROWID;

  -- A link that gives its first reader an access key. code: SHA-256 of what stands in it.
  CREATE TABLE invites (
    user_id    INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    code       BLOB    NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
  ) STRICT;
  `,
  `
  -- Whom the subject of a JWT is. user_id: null where that user was removed; nobody becomes the subject by itself then.
  CREATE TABLE identities (
    issuer    TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    user_id   INTEGER REFERENCES users (id) ON DELETE SET NULL,
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX identities_of_user ON identities (user_id);

  -- JWTs that were issued before that open nothing.
  ALTER TABLE users ADD COLUMN jwts_revoked_before INTEGER;
  `,
  `
  -- The daemon, a row a minute, by the minute's begin; old ones go. Instances by state at the end of it, calls of all of it.
  CREATE TABLE history (
    at           INTEGER PRIMARY KEY,
    stopped      INTEGER NOT NULL,
    starting     INTEGER NOT NULL,
    ready        INTEGER NOT NULL,
    draining     INTEGER NOT NULL,
    backing_off  INTEGER NOT NULL,
    parked       INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    sessions     INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    errors       INTEGER NOT NULL,
    p50_ms       REAL,
    p99_ms       REAL
  ) STRICT;
  `,
  `
  -- Who may use servers that are not open to all. applied: 1 where an apply made it, and may take it away.
  CREATE TABLE user_groups (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT    NOT NULL UNIQUE,
    applied INTEGER NOT NULL CHECK (applied IN (0, 1))
  ) STRICT;

  CREATE TABLE group_members (
    group_id INTEGER NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    user_id  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    applied  INTEGER NOT NULL CHECK (applied IN (0, 1)),
    PRIMARY KEY (group_id, user_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX group_members_of_user ON group_members (user_id);

  -- Granted to a user or to a group, to everybody where it is to neither.
  CREATE TABLE server_grants (
    server   TEXT    NOT NULL,
    user_id  INTEGER REFERENCES users (id) ON DELETE CASCADE,
    group_id INTEGER REFERENCES user_groups (id) ON DELETE CASCADE,
    applied  INTEGER NOT NULL CHECK (applied IN (0, 1)),
    CHECK (user_id IS NULL OR group_id IS NULL)
  ) STRICT;
  CREATE UNIQUE INDEX server_grants_once
    ON server_grants (server, coalesce(user_id, 0), coalesce(group_id, 0));
  CREATE INDEX server_grants_of_user ON server_grants (user_id);
  CREATE INDEX server_grants_of_group ON server_grants (group_id);

  -- What an apply did with the user: made, or disabled one that it had made; null where an admin or a JWT made the user.
  ALTER TABLE users ADD COLUMN applied TEXT CHECK (applied IN ('made', 'pruned'));
  `,
  `
  -- Servers that the control API made. id: random, and never another's. state: enabled, disabled or removing.
  -- box: the keys of its config entry as JSON, sealed by the vault. from_network: the URL came over TCP.
  CREATE TABLE servers (
    id           TEXT    PRIMARY KEY,
    slug         TEXT    NOT NULL UNIQUE,
    name         TEXT    NOT NULL,
    description  TEXT,
    state        TEXT    NOT NULL,
    from_network INTEGER NOT NULL,
    box          BLOB    NOT NULL,
    created_at   INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Browsers in which users have signed in. hash: SHA-256 of what the browser holds. key_id: the access key
  -- that it was opened with, and ends with. client: what the browser says it is.
  CREATE TABLE browser_sessions (
    id         TEXT    PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key_id     TEXT    NOT NULL REFERENCES access_keys (id) ON DELETE CASCADE,
    hash       BLOB    NOT NULL UNIQUE,
    client     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX browser_sessions_of_user ON browser_sessions (user_id);
  CREATE INDEX browser_sessions_of_key ON browser_sessions (key_id);
  `,
  `
  -- Sessions of clients, which outlive the daemon. hash: SHA-256 of the id, in hex. credential: an access
  -- key, or empty. agent: a digest. mark: a keyed digest. detached_at: null while the client is there.
  -- box: what the client said and was told, sealed by the vault.
  CREATE TABLE sessions (
    hash        TEXT    PRIMARY KEY,
    user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issuer      TEXT    NOT NULL,
    credential  TEXT    NOT NULL,
    server      TEXT    NOT NULL,
    shape       TEXT    NOT NULL,
    front       TEXT    NOT NULL,
    agent       TEXT    NOT NULL,
    mark        TEXT,
    created_at  INTEGER NOT NULL,
    used_at     INTEGER NOT NULL,
    detached_at INTEGER,
    box         BLOB    NOT NULL
  ) STRICT;
  CREATE INDEX sessions_of_user ON sessions (user_id);
  CREATE INDEX sessions_of_server ON sessions (server, shape);
  CREATE INDEX sessions_by_use ON sessions (used_at);
  `,
  `
  -- Pods of children, by the name of the Pod; a row is there before it. user, server: by name, for a pod may
  -- outlive both. uid, address, node: null until known. epoch: of the daemon that had it last. recipe, token:
  -- keyed digests of what it was made by. authority: the number of its CA, a row of secrets.
  CREATE TABLE pods (
    name              TEXT    PRIMARY KEY,
    user              TEXT    NOT NULL,
    server            TEXT    NOT NULL,
    variant           TEXT    NOT NULL,
    generation        INTEGER NOT NULL,
    uid               TEXT,
    address           TEXT,
    node              TEXT,
    epoch             INTEGER NOT NULL,
    recipe            TEXT    NOT NULL,
    token             TEXT,
    authority         INTEGER NOT NULL,
    orphan_timeout_ms INTEGER NOT NULL,
    born_at           INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
];
