/** What a button of the panel can do of what `doctor` advises. */
export type Remedy =
  | { kind: "order"; word: "enable" | "restart" | "refresh"; path: string }
  | {
      kind: "place";
      word: "setToken" | "issueKey" | "seeLogs" | "openUser";
      to: [string, Record<string, string>];
    };

const path = (user: string, verb: string, server?: string): string =>
  `users/${user}/${verb}${server === undefined ? "" : `?server=${server}`}`;
const named = (server: string | undefined): Record<string, string> =>
  server === undefined ? {} : { server };

/** The commands that `doctor` names, by what they are here. */
const COMMANDS: readonly (readonly [RegExp, (user: string, server?: string) => Remedy])[] = [
  [
    /mcp-supervisor user enable ([a-z0-9][\w-]*)/,
    (user) => ({ kind: "order", word: "enable", path: path(user, "enable") }),
  ],
  [
    /mcp-supervisor restart ([a-z0-9][\w-]*)(?: --server ([a-z0-9][\w-]*))?/,
    (user, server) => ({ kind: "order", word: "restart", path: path(user, "restart", server) }),
  ],
  [
    /mcp-supervisor token refresh ([a-z0-9][\w-]*)(?: --server ([a-z0-9][\w-]*))?/,
    (user, server) => ({ kind: "order", word: "refresh", path: path(user, "refresh", server) }),
  ],
  [
    /mcp-supervisor token set ([a-z0-9][\w-]*)(?: --server ([a-z0-9][\w-]*))?/,
    (user, server) => ({
      kind: "place",
      word: "setToken",
      to: ["users", { name: user, form: "token", ...named(server) }],
    }),
  ],
  [
    /mcp-supervisor key issue ([a-z0-9][\w-]*)/,
    (user) => ({ kind: "place", word: "issueKey", to: ["users", { name: user, form: "key" }] }),
  ],
  [
    /mcp-supervisor logs ([a-z0-9][\w-]*)(?: --server ([a-z0-9][\w-]*))?/,
    (user, server) => ({
      kind: "place",
      word: "seeLogs",
      to: ["logs", { user, ...named(server) }],
    }),
  ],
  [
    /mcp-supervisor (?:user remove|url|doctor) ([a-z0-9][\w-]*)/,
    (name) => ({ kind: "place", word: "openUser", to: ["users", { name }] }),
  ],
];

/** `user/server: the child …`: what may be well again once it is started anew. */
const CHILD = /^([a-z0-9][\w-]*)\/([a-z0-9][\w-]*): the child /;

/** What the panel can do of what is to be done next, in the order in which it is advised. */
export function remediesFor({ cause, next }: { cause: string; next: string }): Remedy[] {
  const found = COMMANDS.flatMap(([pattern, remedy]) => {
    const match = pattern.exec(next);
    return match === null ? [] : [remedy(match[1]!, match[2])];
  });
  const [, user, server] = CHILD.exec(cause) ?? [];
  const mends = found.some(({ word }) => word !== "seeLogs");
  if (user === undefined || mends) return found;
  return [...found, { kind: "order", word: "restart", path: path(user, "restart", server) }];
}
