import type { SealedColumn } from "../store/store.ts";

/**
 * Every column that holds boxes. What is missing here would not be sealed anew when the key changes,
 * nor be checked in a backup, and would be lost with the key that is dropped.
 */
export const SEALED_COLUMNS: readonly SealedColumn[] = [
  {
    table: "tokens",
    key: ["user_id", "server"],
    column: "box",
    place: "'tokens|' || (SELECT name FROM users WHERE users.id = user_id) || '|' || server",
  },
  {
    table: "grants",
    key: ["user_id", "server"],
    column: "box",
    place:
      "'grants|' || (SELECT name FROM users WHERE users.id = user_id) || '|' || server || '|' || provider || '|' || generation",
  },
  {
    table: "feishu_tokens",
    key: ["user_id", "server", "app", "key"],
    column: "box",
    place:
      "'feishu_tokens|' || (SELECT name FROM users WHERE users.id = user_id) || '|' || server || '|' || app || '|' || key",
  },
  { table: "servers", key: ["id"], column: "box", place: "'servers|' || id" },
  { table: "secrets", key: ["name"], column: "box", place: "'secrets|' || name" },
  {
    table: "manifests",
    key: ["id"],
    column: "box",
    place:
      "'manifests|' || (SELECT name FROM users WHERE users.id = user_id) || '|' || server || '|' || revision || '|' || key",
  },
  {
    table: "sessions",
    key: ["hash"],
    column: "box",
    place:
      "'sessions|' || (SELECT name FROM users WHERE users.id = user_id) || '|' || server || '|' || hash",
  },
];

/** Columns of bytes that are no boxes, and what they are instead. */
export const UNSEALED_COLUMNS: Readonly<Record<string, string>> = {
  "access_keys.hash": "SHA-256 of a key that is random",
  "browser_sessions.hash": "SHA-256 of a cookie that is random",
  "connects.browser": "SHA-256 of a cookie that is random",
  "connects.state": "SHA-256 of a state that is random",
  "invites.code": "SHA-256 of a code that is random",
  "meta.value": "text, and the vault's own checks: one for each key, sealed by it, gone with it",
};
