import { readFileSync } from "node:fs";
import { SupervisorError } from "../../errors.ts";
import { PASSED_OVER_KEYS } from "../../config/foreign.ts";
import { readJson } from "../../config/json.ts";
import { parseSpec } from "../../installs/installs.ts";
import type { PackageSpec } from "../../installs/installs.ts";
import { slugFor } from "../../platform/slug.ts";

/** An entry as the config has it, or as other programs' files do. */
export type Entry = Readonly<Record<string, unknown>>;

/** What `--from` names: entries by name, or a package to fetch one from. */
export type Source =
  | { readonly kind: "entries"; readonly entries: Readonly<Record<string, Entry>> }
  | { readonly kind: "package"; readonly name: string; readonly spec: PackageSpec };

/** Under which other programs' files have their entries. */
const CONTAINERS = ["mcpServers", "servers", "context_servers"];
const STDIN = 0;
const MAX_BYTES = 1024 * 1024;

const usage = (message: string, details: readonly string[] = []): SupervisorError =>
  new SupervisorError("USAGE", message, { details });

const isRecord = (value: unknown): value is Entry =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isEntry = (value: unknown): value is Entry =>
  isRecord(value) && ("command" in value || "url" in value || "builtin" in value);

/** The name for something that is called so elsewhere. */
const nameFor = (text: string): string => slugFor(text) ?? "server";

/** `@scope/server-mail` and `mcp-server-mail` are servers called mail. */
const nameOfPackage = (name: string): string =>
  nameFor(
    name
      .replace(/\[.*$/, "")
      .replace(/^@[^/]+\//, "")
      .replace(/^(?:mcp[-_.]server[-_.]|server[-_.]|mcp[-_.])/i, "")
      .replace(/[-_.](?:mcp[-_.]server|mcp|server)$/i, ""),
  );

/** `mcp.drawing.example.com` has a server called drawing. */
function nameOfHost({ hostname }: URL): string {
  const labels = hostname.split(".").filter((label) => !/^(?:mcp|www|api)$/.test(label));
  return nameFor(/^[\d.]+$|:/.test(hostname) ? "remote" : (labels[0] ?? hostname));
}

function entriesIn(value: unknown): Record<string, Entry> | undefined {
  if (isEntry(value)) return { server: value };
  if (!isRecord(value)) return undefined;
  const holder = CONTAINERS.map((key) => value[key]).find(isRecord) ?? value;
  const named = Object.entries(holder).filter(([, entry]) => isEntry(entry));
  if (named.length === 0 || named.length !== Object.keys(holder).length) return undefined;
  return Object.fromEntries(named.map(([name, entry]) => [nameFor(name), entry as Entry]));
}

/** Without what has no effect here. */
const ours = (entries: Record<string, Entry>): Record<string, Entry> =>
  Object.fromEntries(
    Object.entries(entries).map(([name, entry]) => [
      name,
      Object.fromEntries(
        Object.entries(entry).filter(
          ([key]) => !(PASSED_OVER_KEYS as readonly string[]).includes(key),
        ),
      ),
    ]),
  );

/** What was pasted, or stands in a file; undefined while it is no whole JSON. The outermost braces may be missing. */
export function readPastedEntries(text: string): Source | undefined {
  for (const whole of [text, `{${text}\n}`]) {
    const { value, problems } = readJson(whole);
    if (value === undefined || problems.length > 0) continue;
    const entries = entriesIn(value);
    if (entries !== undefined) return { kind: "entries", entries: ours(entries) };
  }
  return undefined;
}

function readFile(file: string | typeof STDIN): Source {
  let text: string;
  try {
    text = readFileSync(file, "utf8").slice(0, MAX_BYTES);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw usage(`what --from names cannot be read (${code ?? "unknown reason"})`, [
      "it takes a file, a URL, npm:NAME@VERSION, pypi:NAME==VERSION, or - for stdin",
    ]);
  }
  const found = readPastedEntries(text.replace(/^\uFEFF/, ""));
  if (found !== undefined) return found;
  throw usage("there is no entry of a server in it", [
    'it must be JSON with "mcpServers", or one entry with "command" or "url"',
  ]);
}

/** Reads what `--from` names. USAGE for what is none of them. */
export function readSource(from: string): Source {
  const [, registry, spec = ""] = /^(npm|pypi):(.*)$/.exec(from) ?? [];
  if (registry !== undefined) {
    const parsed = parseSpec(registry === "npm" ? "npm" : "pip", spec);
    return { kind: "package", name: nameOfPackage(parsed.package), spec: parsed };
  }
  if (/^https?:\/\//i.test(from)) {
    if (!URL.canParse(from)) throw usage("that is no URL");
    return { kind: "entries", entries: { [nameOfHost(new URL(from))]: { url: from } } };
  }
  return readFile(from === "-" ? STDIN : from);
}
