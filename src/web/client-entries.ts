/** What a snippet is for: one server of a user. */
export interface Target {
  name: string;
  url: string;
  front: "sse" | "http";
}

/** A program's own file, and what belongs into it. */
export interface ClientFile {
  /** Where it lies: below the home folder with `~/`, else in the folder of the project. */
  path: (platform: NodeJS.Platform) => string;
  format: "json" | "toml" | "yaml";
  /** Whether the program takes the key from elsewhere, so that its file needs to hold none. */
  isWithoutKey: boolean;
  /** What is put into the file for a server; without a key it refers to one, or says where it goes. */
  puts: (target: Target, key?: string) => Put[];
}

/** A value under its keys; with `id` it is an item of the list there, which takes the place of the one with this id. */
export interface Put {
  path: readonly string[];
  value: Readonly<Record<string, unknown>>;
  id?: string;
}

const BY_HAND = "YOUR_ACCESS_KEY";
const bearer = (key: string): { Authorization: string } => ({ Authorization: `Bearer ${key}` });

/** Pinned: a version that is fetched at each start is whatever is newest then. */
const MCP_REMOTE = "mcp-remote@0.15.1";

function throughRemote({ url, front }: Target, key = BY_HAND): Record<string, unknown> {
  // In the environment, because other accounts can read the arguments of a program.
  const header = ["--header", "Authorization:${MCPS_AUTHORIZATION}"];
  const plain = url.startsWith("http:") ? ["--allow-http"] : [];
  const transport = ["--transport", `${front}-only`];
  return {
    command: "npx",
    args: ["-y", MCP_REMOTE, url, ...transport, ...plain, ...header],
    env: { MCPS_AUTHORIZATION: `Bearer ${key}` },
  };
}

/** Those that have a file of their own for their servers. */
export const CLIENT_FILES = {
  "claude-code": {
    path: () => ".mcp.json",
    format: "json",
    isWithoutKey: true,
    puts: ({ name, url, front }, key = "${MCPS_KEY}") => [
      { path: ["mcpServers", name], value: { type: front, url, headers: bearer(key) } },
    ],
  },
  "claude-desktop": {
    path: (platform) =>
      platform === "darwin"
        ? "~/Library/Application Support/Claude/claude_desktop_config.json"
        : "~/.config/Claude/claude_desktop_config.json",
    format: "json",
    isWithoutKey: false,
    puts: (target, key) => [
      { path: ["mcpServers", target.name], value: throughRemote(target, key) },
    ],
  },
  codex: {
    path: () => "~/.codex/config.toml",
    format: "toml",
    isWithoutKey: true,
    puts: ({ name, url }, key) => [
      {
        path: ["mcp_servers", name],
        value:
          key === undefined
            ? { url, bearer_token_env_var: "MCPS_KEY" }
            : { url, http_headers: bearer(key) },
      },
    ],
  },
  cursor: {
    path: () => "~/.cursor/mcp.json",
    format: "json",
    isWithoutKey: true,
    puts: ({ name, url }, key = "${env:MCPS_KEY}") => [
      { path: ["mcpServers", name], value: { url, headers: bearer(key) } },
    ],
  },
  vscode: {
    path: () => ".vscode/mcp.json",
    format: "json",
    isWithoutKey: true,
    puts: ({ name, url, front }, key) => {
      const id = `${name}-key`;
      const input = { type: "promptString", id, description: "Access key", password: true };
      const headers = bearer(key ?? `\${input:${id}}`);
      return [
        ...(key === undefined ? [{ path: ["inputs"], value: input, id }] : []),
        { path: ["servers", name], value: { type: front, url, headers } },
      ];
    },
  },
  zed: {
    path: () => "~/.config/zed/settings.json",
    format: "json",
    isWithoutKey: false,
    puts: ({ name, url }, key = BY_HAND) => [
      { path: ["context_servers", name], value: { url, headers: bearer(key) } },
    ],
  },
  librechat: {
    path: () => "librechat.yaml",
    format: "yaml",
    isWithoutKey: true,
    puts: ({ name, url, front }, key = "${MCPS_KEY}") => [
      {
        path: ["mcpServers", name],
        value: { type: front === "sse" ? "sse" : "streamable-http", url, headers: bearer(key) },
      },
    ],
  },
  inspector: {
    path: () => "~/.mcp-inspector/mcp.json",
    format: "json",
    isWithoutKey: false,
    puts: ({ name, url, front }, key = BY_HAND) => [
      {
        path: ["mcpServers", name],
        value: { type: front === "sse" ? "sse" : "streamable-http", url, headers: bearer(key) },
      },
    ],
  },
} as const satisfies Record<string, ClientFile>;

const blockYaml = (value: Readonly<Record<string, unknown>>, indent: string): string[] =>
  Object.entries(value).flatMap(([key, inner]) =>
    typeof inner === "object" && inner !== null
      ? [`${indent}${key}:`, ...blockYaml(inner as Record<string, unknown>, `${indent}  `)]
      : // A JSON string is one of YAML, too.
        [`${indent}${key}: ${JSON.stringify(inner)}`],
  );

/** The block of lines that a value is in YAML, under its name. */
export const yamlEntry = ({ path, value }: Put, indent: string): string[] =>
  blockYaml({ [path.at(-1)!]: value }, indent);

const inlineToml = (value: unknown): string =>
  typeof value === "object" && value !== null
    ? `{ ${Object.entries(value)
        .map(([key, inner]) => `${key} = ${inlineToml(inner)}`)
        .join(", ")} }`
    : JSON.stringify(value);

/** The table that a value is in TOML. */
export const tomlEntry = ({ path, value }: Put): string[] => [
  `[${path.join(".")}]`,
  ...Object.entries(value).map(([key, inner]) => `${key} = ${inlineToml(inner)}`),
];

/** A document of JSON that holds nothing else. */
function jsonDocument(puts: readonly Put[]): string {
  const document: Record<string, unknown> = {};
  for (const { path, value, id } of puts) {
    const [outer = "", inner] = path;
    if (inner === undefined || id !== undefined)
      document[outer] = [...((document[outer] as unknown[] | undefined) ?? []), value];
    else document[outer] = { ...(document[outer] as object | undefined), [inner]: value };
  }
  return JSON.stringify(document, null, 2);
}

/** What to paste where the program's file is empty. */
export function fileText(format: ClientFile["format"], puts: readonly Put[]): string {
  if (format === "json") return jsonDocument(puts);
  if (format === "toml") return puts.map((put) => tomlEntry(put).join("\n")).join("\n\n");
  return [`${puts[0]?.path[0] ?? ""}:`, ...puts.flatMap((put) => yamlEntry(put, "  "))].join("\n");
}
