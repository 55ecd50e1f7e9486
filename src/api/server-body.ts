import type { Request } from "express";
import { readForeignText } from "../config/foreign.ts";
import { PROGRAM_KEYS } from "../config/server-schema.ts";
import type { ServerEntry } from "../config/one-server.ts";
import { SupervisorError } from "../errors.ts";
import { languageOf } from "../http/language.ts";
import type { Language } from "../http/language.ts";
import type { NewServer, ServerWish } from "../operations/server-orders.ts";
import { isObject, readAnyBody, readBody, readBoolean } from "./input.ts";

const MAX_NAME_LENGTH = 100;
const MAX_DESCRIPTION_LENGTH = 2000;
const CONTROL = /\p{Cc}/u;
/** Lines and tabs may stand in a text field. */
const CONTROL_IN_TEXT = /(?![\t\n\r])\p{Cc}/u;

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

/** Word for word what the forms of MCP configs say. */
const NOT_JSON: Record<Language, string> = {
  zh: "Headers 格式错误：必须是有效的 JSON 格式",
  en: "Headers are malformed: they must be valid JSON",
};
const NO_OBJECT: Record<Language, string> = {
  zh: "Headers 必须是一个对象",
  en: "Headers must be an object",
};

/** `said` are the keys that are no part of the entry; what of them a change may repeat stands as it is. */
export interface ServerBody extends ServerWish {
  repeated: Readonly<Record<string, unknown>>;
}

/** Who asks: over the socket, and with leave to set programs. */
interface Rights {
  isLocal: boolean;
  mayRun: boolean;
}

/** Keys that are shown and never change: whoever loads a server and saves it sends them too. */
const REPEATED = ["id", "slug", "origin"];

/**
 * What a request says of a server. REQUEST_INVALID, or SOCKET_ONLY for keys of a program where
 * `mayRun` is false. What the entry must be is for the schema of the config to say.
 */
export function readServerBody(req: Request, rights: Rights): ServerBody {
  return readServer(readAnyBody(req), languageOf(req.headers["accept-language"]), rights);
}

/**
 * As `readServerBody`, of several by their names, or of those in the text of another program's `file`;
 * what other programs call `disabled` is read too.
 */
export function readServers(req: Request, rights: Rights): NewServer[] {
  const { file, servers: given } = readBody(req, ["servers", "file", "replace"]);
  if (file !== undefined && given !== undefined) throw invalid("the body holds servers or file");
  const servers = file === undefined ? given : serversOfFile(file);
  if (!isObject(servers) || !Object.values(servers).every(isObject))
    throw invalid("servers must be an object with a server under each name");
  const language = languageOf(req.headers["accept-language"]);
  return Object.entries(servers as Record<string, object>).map(([name, entry]) => {
    const { disabled, ...said } = entry as Record<string, unknown>;
    const enabled = disabled === undefined ? undefined : !readBoolean(disabled, "disabled");
    const { repeated, ...server } = readServer(said, language, rights);
    const [key] = Object.keys(repeated);
    if (key !== undefined) throw invalid(`${name}: ${key} is given to a new server, not taken`);
    return { ...server, name: readName(name), enabled };
  });
}

function serversOfFile(file: unknown): Record<string, object> {
  if (typeof file !== "string") throw invalid("file must be the text of a file");
  const { servers, problems } = readForeignText(file);
  const [first, ...details] = problems;
  if (first !== undefined)
    throw new SupervisorError("REQUEST_INVALID", `file: ${first}`, { details });
  return servers;
}

function readServer(
  body: Record<string, unknown>,
  language: Language,
  { isLocal, mayRun }: Rights,
): ServerBody {
  const said = new Map(Object.entries(body));
  const taken = (key: string): unknown => {
    const value: unknown = said.get(key);
    said.delete(key);
    return value;
  };
  const program = mayRun ? undefined : PROGRAM_KEYS.find((key) => said.has(key));
  if (program !== undefined)
    throw new SupervisorError(
      "SOCKET_ONLY",
      `${program} belongs to a program of this machine, which is set over the control socket only; "admin": { …, "commands": true } in the config allows it here too`,
    );
  const repeated = Object.fromEntries(
    REPEATED.flatMap((key) => (said.has(key) ? [[key, taken(key)]] : [])),
  );
  const [name, description, enabled] = [taken("name"), taken("description"), taken("enabled")];
  for (const key of ["builtin", "disabled"])
    if (said.has(key))
      throw invalid(
        key === "builtin"
          ? "builtin: a server that is part of the daemon stands in the config"
          : 'disabled: write "enabled": false',
      );
  if (said.has("headers")) said.set("headers", readHeaders(said.get("headers"), language));
  return {
    name: name === undefined ? undefined : readName(name),
    description: description === undefined ? undefined : readDescription(description),
    enabled: enabled === undefined ? undefined : readBoolean(enabled, "enabled"),
    entry: Object.fromEntries(said),
    isFromNetwork: !isLocal,
    repeated,
  };
}

function readName(value: unknown): string {
  const name = typeof value === "string" ? value.trim() : "";
  if (name !== "" && name.length <= MAX_NAME_LENGTH && !CONTROL.test(name)) return name;
  throw invalid(`name must be one line of 1 to ${MAX_NAME_LENGTH} characters`);
}

function readDescription(value: unknown): string | null {
  if (value === null || value === "") return null;
  const isText = typeof value === "string" && value.length <= MAX_DESCRIPTION_LENGTH;
  if (isText && !CONTROL_IN_TEXT.test(value)) return value;
  throw invalid(`description must be text of at most ${MAX_DESCRIPTION_LENGTH} characters`);
}

/** An object, or the text of one as a form has it; nothing and null are no headers. */
function readHeaders(value: unknown, language: Language): ServerEntry {
  if (value === null || (typeof value === "string" && value.trim() === "")) return {};
  let headers: unknown = value;
  if (typeof value === "string") {
    try {
      headers = JSON.parse(value);
    } catch {
      // V8 quotes what it could not read, which may be a secret.
      throw invalid(NOT_JSON[language]);
    }
  }
  if (!isObject(headers)) throw invalid(NO_OBJECT[language]);
  // No object has it as a name of its own once it is built by names.
  if (Object.hasOwn(headers, "__proto__"))
    throw invalid("headers.__proto__: must be the name of a header");
  return headers;
}
