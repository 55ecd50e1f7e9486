// Writes the parts of the documents that are made from the code, each between two marks:
//   <!-- generated: NAME -->  …  <!-- end of generated -->
//   npm run docs                writes them
//   npm run docs -- --check     writes nothing; names the pages that are out of date, and exits 1
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createProgram } from "../src/cli/cli.ts";
import { CLIENTS, clientFileOf, snippetsFor } from "../src/web/snippets.ts";
import { configJsonSchema } from "../src/config/config.ts";
import { helpText, manPage } from "./man.mjs";
import { fenced, table } from "./markdown.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const MARKED = /(<!-- generated: ([\w-]+) -->\n)[^]*?(<!-- end of generated -->)/g;

const capitalised = (text) => text[0].toUpperCase() + text.slice(1);
const code = (value) => `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;

/** The keys of a JSON Schema, those of objects within it too: `limits.memory`. Keys without a description are refused. */
function keysOf({ properties }, above = "") {
  return Object.entries(properties).flatMap(([name, node]) => {
    const key = above + name;
    if (node.description !== undefined)
      return [{ key, byDefault: node.default, what: node.description }];
    if (node.properties !== undefined) return keysOf(node, `${key}.`);
    throw new Error(`${key} has no description in the schema`);
  });
}

const isEmpty = (value) =>
  value === undefined || value === null || /^(\[\]|\{\})$/.test(JSON.stringify(value));
const shownDefault = (value) => (isEmpty(value) ? "" : code(value));

function config() {
  const rows = keysOf(configJsonSchema()).map(({ key, byDefault, what }) => [
    code(key),
    shownDefault(byDefault),
    what,
  ]);
  return table(["key", "default", "what"], rows);
}

/** Not refused for this kind of server, and not another program's key that is passed over. */
const isOurs = ([, node]) => node.not === undefined && Object.keys(node).length > 0;
const ourKeysOf = ({ properties }) =>
  keysOf({ properties: Object.fromEntries(Object.entries(properties).filter(isOurs)) });

/** The keys of several kinds in one table, with the kinds that know each; one that has several defaults names all of them. */
function byKind(keysByKind, every) {
  const rows = new Map();
  for (const [kind, keys] of keysByKind)
    for (const { key, byDefault, what } of keys) {
      const { of, defaults } = rows.get(key) ?? { of: [], defaults: [] };
      rows.set(key, {
        of: [...of, code(kind)],
        defaults: [...defaults, shownDefault(byDefault)],
        what,
      });
    }
  return table(
    ["key", "of", "default", "what"],
    [...rows].map(([key, { of, defaults, what }]) => [
      code(key),
      of.length === keysByKind.length ? every : of.join(", "),
      [...new Set(defaults)].filter((text) => text !== "").join(" or "),
      what,
    ]),
  );
}

function servers() {
  const [child, remote, , builtin] =
    configJsonSchema().properties.servers.additionalProperties.anyOf;
  const keys = [
    ["command", ourKeysOf(child)],
    ["url", ourKeysOf(remote)],
    ["builtin", ourKeysOf(builtin)],
  ];
  return byKind(keys, "all");
}

/** What the config says of all pods, and a server of its own. */
function pods() {
  const { kubernetes, servers: byName } = configJsonSchema().properties;
  const ofConfig = kubernetes.anyOf.find(({ type }) => type === "object");
  const ofServer = byName.additionalProperties.anyOf[0].properties.kubernetes;
  const own = keysOf(ofServer).map(({ key, what }) => ({ key, what }));
  return byKind(
    [
      ["config", keysOf(ofConfig)],
      ["server", own],
    ],
    "both",
  );
}

const withKind = (kinds) =>
  byKind(
    kinds.map((kind) => [kind.properties.kind.const, keysOf(kind)]),
    "all",
  );
const providers = () =>
  withKind(configJsonSchema().properties.providers.additionalProperties.oneOf);
const notices = () => withKind(configJsonSchema().properties.notices.items.oneOf);

const issuers = () => {
  const jwt = configJsonSchema().properties.jwt.anyOf.find(({ type }) => type === "object");
  return table(
    ["key", "default", "what"],
    keysOf(jwt.properties.issuers.items).map(({ key, byDefault, what }) => [
      code(key),
      shownDefault(byDefault),
      what,
    ]),
  );
};

const helpOf = (command) => fenced("", helpText(command));

function commands() {
  const program = createProgram(() => undefined);
  const section = (command, level) => [
    `${"#".repeat(level)} ${command.parent === program ? command.name() : `${command.parent.name()} ${command.name()}`}`,
    ...(command.commands.length === 0
      ? [helpOf(command)]
      : [
          `${capitalised(command.description())}.`,
          ...command.commands.flatMap((inner) => section(inner, level + 1)),
        ]),
  ];
  return [helpOf(program), ...program.commands.flatMap((command) => section(command, 2))].join(
    "\n\n",
  );
}

const LANGUAGES = { json: "json", toml: "toml", yaml: "yaml" };
const LANGUAGE_OF = { fastmcp: "python", "claude-code": "sh", curl: "sh" };

const ALICE = {
  row: {
    server: "gmail",
    sse: "https://mcp.example.com/u/alice/gmail/sse",
    http: "https://mcp.example.com/u/alice/gmail/mcp",
  },
  front: "http",
};

const placeOf = (where) => (where === "shell" ? "in a shell:" : `in ${where}:`);

function snippetBlock(id) {
  const { where, text } = snippetsFor(ALICE).find((snippet) => snippet.id === id);
  const language = LANGUAGE_OF[id] ?? LANGUAGES[clientFileOf(id)?.format] ?? "";
  return { where, block: fenced(language, text) };
}

/** What a client can, and the snippet for it. */
function clientPart({ id, can }) {
  const { where, block } = snippetBlock(id);
  const file = clientFileOf(id);
  return [
    table(
      ["headers", "OAuth", "SSE", "`--write`"],
      [[can.headers, can.oauth, can.sse, file === undefined ? "no" : code(file.path("linux"))]],
    ),
    `${capitalised(placeOf(where))}\n\n${block}`,
  ].join("\n\n");
}

const clientTable = () =>
  table(
    ["client", "`--client`", "headers", "OAuth", "SSE"],
    CLIENTS.map(({ id, name, can }) => [
      `[${name}](clients/${id}.md)`,
      code(id),
      can.headers,
      can.oauth,
      can.sse,
    ]),
  );

const threeClients = () =>
  ["claude-code", "cursor", "fastmcp"]
    .map((id) => {
      const { where, block } = snippetBlock(id);
      return `**${CLIENTS.find((client) => client.id === id).name}**, ${placeOf(where)}\n\n${block}`;
    })
    .join("\n\n");

const example = (language, path) => () =>
  fenced(language, readFileSync(`${root}/examples/${path}`, "utf8"));

const PARTS = {
  config,
  servers,
  pods,
  providers,
  issuers,
  notices,
  commands,
  clients: clientTable,
  ...Object.fromEntries(CLIENTS.map((client) => [`client-${client.id}`, () => clientPart(client)])),
  "three-clients": threeClients,
  "behind-a-proxy": example("json", "proxy/supervisor.json"),
  nginx: example("nginx", "proxy/nginx.conf"),
  caddy: example("caddyfile", "proxy/Caddyfile"),
};

function renewed(text, page) {
  return text.replace(MARKED, (_, begin, name, end) => {
    if (PARTS[name] === undefined) throw new Error(`${page}: nothing makes a part "${name}"`);
    return `${begin}\n${PARTS[name]()}\n\n${end}`;
  });
}

const isCheck = process.argv.includes("--check");

function keep(page, before, after) {
  if (after === before) return;
  console.error(`${page} ${isCheck ? "is out of date: npm run docs renews it" : "renewed"}`);
  if (isCheck) process.exitCode = 1;
  else writeFileSync(`${root}/${page}`, after);
}

for (const page of ["README.md", ...globSync("docs/**/*.md", { cwd: root })]) {
  const before = readFileSync(`${root}/${page}`, "utf8");
  keep(page, before, renewed(before, page));
}
const MAN_PAGE = "docs/mcp-supervisor.1";
keep(
  MAN_PAGE,
  readFileSync(`${root}/${MAN_PAGE}`, "utf8"),
  manPage(createProgram(() => undefined)),
);
