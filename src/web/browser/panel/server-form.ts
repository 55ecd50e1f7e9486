import { button, el, labelled } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import type { Context } from "./context.ts";
import { headersField } from "./headers-field.ts";
import type { ShownServer } from "./types.ts";
import { act, formOf, link } from "./ui.ts";

const JSON_SPACES = 2;
/** What the form has fields of its own for, or what never changes. */
const OWN = new Set(["id", "slug", "name", "origin", "enabled", "description", "url", "headers"]);

/** What the form is for. */
export interface FormAbout {
  /** Undefined for a new one. */
  readonly server: ShownServer | undefined;
  /** Whether programs may be set here. */
  readonly commands: boolean;
}

/** What else the recipe says, as it is: the fields of a program, timeouts, and the like. */
const recipeOf = (server: ShownServer | undefined): Record<string, unknown> =>
  Object.fromEntries(Object.entries(server ?? {}).filter(([key]) => !OWN.has(key)));

const isProgram = (server: ShownServer | undefined): boolean =>
  server !== undefined && server.url === undefined;

/** The object in a text; undefined where it is none. Nothing is one without keys. */
function objectIn(text: string): Record<string, unknown> | undefined {
  if (text.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // As any other text that is no object.
  }
  return undefined;
}

/**
 * A field of JSON for all that the form has no field for, and what of it was changed: a key that was
 * taken out is null. Undefined where the text holds no object. That of a program is read where it may not be set.
 */
function recipeField({ say }: Context, { server, commands }: FormAbout) {
  const before = recipeOf(server);
  const text = Object.keys(before).length === 0 ? "" : JSON.stringify(before, null, JSON_SPACES);
  const area = el("textarea", { rows: "6", spellcheck: "false", id: "recipe", value: text });
  area.readOnly = isProgram(server) && !commands;
  const changes = (): Record<string, unknown> | undefined => {
    if (area.value === text) return {};
    const said = objectIn(area.value);
    const gone = Object.keys(before).filter((key) => said !== undefined && !(key in said));
    return said && { ...Object.fromEntries(gone.map((key) => [key, null])), ...said };
  };
  const hint = say(commands ? "recipeHint" : "recipeNoPrograms");
  const element = el(
    "details",
    { id: "more", open: isProgram(server) },
    el("summary", {}, say("recipe")),
    labelled(say("recipeJson"), area, hint),
  );
  return { element, changes };
}

function fieldsOf(context: Context, about: FormAbout) {
  const { say } = context;
  const { server } = about;
  const { name: title = "", url: address = "", description: what = "" } = server ?? {};
  const name = el("input", { required: true, autocomplete: "off", id: "name", value: title });
  const url = el("input", { type: "url", autocomplete: "off", id: "url", value: address });
  name.placeholder = "Drawing Server";
  url.placeholder = "http://localhost:3001/sse";
  const description = el("textarea", { rows: "2", id: "description", value: what });
  const headers = headersField(context, Object.keys(server?.headers ?? {}));
  const recipe = recipeField(context, about);
  const isOn = server?.enabled ?? true;
  const enabled = el("input", { type: "checkbox", id: "enabled", checked: isOn });
  const rows = [
    labelled(say("serverName"), name),
    !isProgram(server) && labelled("URL", url, say("urlHint")),
    labelled(say("description"), description, say("formOptional")),
    !isProgram(server) && headers.element,
    recipe.element,
    el("div", { class: "field" }, enabled, " ", el("label", { for: "enabled" }, say("enabled"))),
  ];
  /** What is to be stored; undefined where `recipe` holds no object. */
  const body = (): Record<string, unknown> | undefined => {
    const more = recipe.changes();
    if (more === undefined) return undefined;
    const text = headers.area.value.trim();
    const remote = { url: url.value.trim(), headers: text === "" ? {} : text };
    return {
      name: name.value,
      description: description.value,
      enabled: enabled.checked,
      ...(url.value === "" ? {} : remote),
      ...more,
    };
  };
  return { rows, headers, body };
}

/** The form of a server: a new one, or one that is there. `done` is called once it is stored. */
export function serverForm(
  context: Context,
  about: FormAbout,
  done: (stored: ShownServer) => void,
): HTMLElement {
  const { api, say } = context;
  const { server } = about;
  const failure = failureLine();
  const { rows, headers, body } = fieldsOf(context, about);
  const go = el("button", { type: "submit", class: "main", id: "save" }, say("save"));
  const save = async (): Promise<string> => {
    if (!headers.check()) {
      headers.area.focus();
      return "";
    }
    const stored = body();
    if (stored === undefined) throw new Error(say("recipeNoObject"));
    const [method, path] =
      server === undefined
        ? (["POST", "mcp/configs"] as const)
        : (["PATCH", `mcp/configs/${encodeURIComponent(server.id)}`] as const);
    done(await api.send<ShownServer>(method, path, stored));
    return say("saved");
  };
  const buttons = el("div", { class: "row" }, go, link(say("cancel"), "servers"));
  return formOf([...rows, buttons, failure], () => void act(context, go, failure, save));
}

interface Imported {
  name: string;
  outcome: string;
}

/** Entries of a file as clients have them, which become servers one by one. */
export function importForm(context: Context, done: () => void): HTMLElement {
  const { api, say } = context;
  const failure = failureLine();
  const told = el("ul", {});
  const area = el("textarea", { rows: "8", spellcheck: "false", id: "import" });
  area.placeholder = '{ "mcpServers": { "drawing": { "url": "http://localhost:3001/sse" } } }';
  const go = button(say("import"), () => void act(context, go, failure, work), { class: "main" });
  const one = async ([name, entry]: [string, unknown]): Promise<Imported> => {
    try {
      await api.send("POST", "mcp/configs", { ...(entry as object), name });
      return { name, outcome: say("done") };
    } catch (error) {
      return { name, outcome: error instanceof Error ? error.message : String(error) };
    }
  };
  const work = async (): Promise<string> => {
    const entries = entriesIn(area.value);
    if (entries === undefined) throw new Error(say("importNoEntries"));
    told.replaceChildren();
    for (const entry of entries) {
      const { name, outcome } = await one(entry);
      told.append(el("li", {}, foreign(name), ": ", foreign(outcome)));
    }
    done();
    return say("done");
  };
  return el(
    "details",
    { id: "import-servers" },
    el("summary", {}, say("import")),
    labelled(say("importJson"), area, say("importHint")),
    go,
    failure,
    told,
  );
}

function entriesIn(text: string): [string, unknown][] | undefined {
  const file = objectIn(text) ?? {};
  const entries = file["mcpServers"] ?? file["servers"];
  const isObject = typeof entries === "object" && entries !== null && !Array.isArray(entries);
  return isObject ? Object.entries(entries) : undefined;
}
